// Package eventlog keeps the last events of a node, numbered from 1, in a ring
// that is bounded in records and in bytes; encodes each as one JSON object that
// carries its version; and writes and reads recordings of them.
//
// The daemon runs one Log for each node. The RPC, "why" and recordings read it:
// they pull, so that one that lags can only miss records, and is told how many.
// What a hostile peer controls is the text in an event (an agent, a topic, an
// address, a detail): it is cut and cleaned before it is encoded, and JSON
// quotes it. A flood of events costs the room of the ring and no more. A
// recording that is read may come from anybody: its lines are bounded and its
// fields checked.
package eventlog
