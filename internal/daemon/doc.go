// Package daemon makes a whole node out of a datadir and a config file: it
// reads the config in its layers (flag, environment, file, preset, default),
// opens and locks the datadir, opens the ledger, the pool and the wire, registers
// the sequencer where the node has one, and serves the RPC socket while the node
// runs; for an Ethereum node that a consensus client leads, the Engine API too.
//
// It owns the datadir and its lock, and the order in which these are opened
// and closed; the log, with a level for each part and a bound on what one cause
// may write; metrics, health and profiles; and what a service manager is told.
// The starling command calls it. Nothing here meets a peer but Probe and
// FullAddr, which ask a wire to and pass on what it has cleaned, within a bound
// in time; a hostile user of the machine is met by file modes and by refusing
// what is loose or not ours.
package daemon
