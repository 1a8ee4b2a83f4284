// Package codec is the Ontology wire in bytes: frames, one file for each
// message, and the ledger's objects that travel in them (Header, Block,
// Transaction) with their hashes, merkle roots, keys and signatures.
//
// The wire and ledger/ontology call it. Messages are Append(dst) and Decode
// funcs without state; what they decode aliases their input.
//
// Everything decoded comes from hostile peers. A frame's length is checked
// against the bound of its command before anything is read, a count against
// the bytes that remain before anything is taken, and a decoder never panics.
// Two dialects exist. Nodes from v1.6.0 on write and demand the one canonical
// encoding; v1.0.0 reads padded varuints, any non-zero bool and trailing
// bytes. A decoder takes the dialect of the peer: Strict or Lenient. A ledger
// object that came in a lenient form is written anew, since hashes are over the
// canonical bytes; v1.0.0 itself never sends another form.
//
// Errors are *wire.Fault of the sender: BadFrame for what the header shows,
// BadEncoding for the rest. ErrChecksum marks the fault that may be line noise.
package codec
