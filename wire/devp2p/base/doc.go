// Package base is the codec of devp2p's base protocol, version 5: Hello,
// Disconnect and their reasons, and the sharing out of message codes among the
// protocols of a session.
//
// The wire calls it. The package owns no state. What a hostile peer can do: send
// a Hello of any form; its length is bounded by RLPx, its capabilities by
// MaxCaps, its texts are cleaned, and what is wrong with it is a *wire.Fault.
package base
