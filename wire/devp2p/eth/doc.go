// Package eth is the codec of the eth protocol, versions 68 to 70: one file a
// message, and the fork identifiers of EIP-2124.
//
// The wire calls it with payloads that RLPx has bounded, and with what it is to
// send. Decoders take the outer form apart and leave headers, bodies, receipts
// and transactions in their own encoding, which the chain's family judges; the
// slices that they give out share the payload's memory. Encoders append to a
// slice. The package owns no state.
//
// What a hostile peer can do: send anything at all. Every decoder is strict
// (canonical RLP, no bytes left over), bounds each count by the protocol's
// limit before it makes room, and descends to a fixed depth only; whatever is
// wrong is a *wire.Fault.
package eth
