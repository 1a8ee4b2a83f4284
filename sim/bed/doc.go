// Package bed is what cores and wires are tested on: simulated networks that
// take no real time and, for one seed, repeat.
//
// There are two beds over one model of a network, Fabric: hosts that share an
// uplink and a downlink among their links, and links with a rate, a latency,
// jitter, loss, a bounded queue and slow start.
//
//   - Sim is the event bed: a Queue of calls in virtual time. It runs
//     thousands of pure cores (Drive) in one goroutine, and two runs with one
//     seed are equal to the bit (Sim.Hash).
//   - Net is the bed for code that waits: its hosts implement env.Network with
//     net.Conn and net.PacketConn in package time, which testing/synctest
//     makes virtual.
//
// Faults are the same in both: partition and heal, cut, kill, stall, corrupt,
// and every property of a link at run time.
//
// Nothing here faces a hostile peer: both ends of every link are in this
// process. Queues are bounded all the same, since a test that fills memory
// tells less than one that fails.
package bed
