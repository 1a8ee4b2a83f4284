// Package devnet runs a whole network on one machine: a sequencer and its
// followers, each a process of its own with its own datadir and real loopback
// sockets. "starling dev" shows it to a person; the process tests drive it.
//
// It owns the folder that it makes its datadirs in, and the processes that it
// started: it stops those and no others. There is no stranger in such a
// network, but its nodes are the same as any other.
package devnet
