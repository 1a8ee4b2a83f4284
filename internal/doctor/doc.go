// Package doctor looks whether a node can work on this machine: its config,
// folder, disk and keys, the limits of the process, ports, addresses, clock and
// DNS; and, where the node runs, what it says itself.
//
// The command line and the daemon call it, with what the config says in plain
// values. A check changes nothing: the folder's test file is removed, a port
// that is tried is let go at once. What strangers can put into it is the answer
// of a DNS server and the texts that a running node passes on; both are bounded
// and cleaned, and every check has a deadline.
package doctor
