// Package p2phost is what the wires on go-libp2p share: the host with its
// gater, pinned resource limits and identity key; streams on a chosen
// connection; name resolution; Kademlia and mDNS; auxiliary connections; and
// gossipsub behind a host that lets it see nothing but sessions.
//
// The library obeys and never judges. Its connection manager is null, its
// dial back-off is cleared before each dial of ours, its black-hole counters
// and rate limiters are off, its resource limits are fixed numbers,
// lower only where memory or descriptors of the process are limited. Whether a
// link may be opened is asked of a Judge, which is the node.
//
// The wires native and opstack construct one Host each and own it; nobody
// else imports the package.
//
// A hostile peer reaches this code before it is anybody's peer. It may stall a
// handshake (ended after HandshakeTimeout), bring an identity key of a kind
// that is costly to check (refused by its ID alone), keep connections open
// that serve nothing (at most MaxAuxiliary, each AuxiliaryTime), send frames
// that claim much memory (granted from a budget, with a deadline), hog the
// validation queue (a quota for each peer) or flood subscriptions (filtered
// and reported). Every drop is counted under a fixed name.
//
// What the multiplexers may hold unread is reserved before it is granted:
// Limits.MemoryPerPeer for one identity, proven or not yet a session, and
// Limits.Memory for all together (24 MiB and 1 GiB, less under a memory limit).
// Streams that have not named their protocol have a quarter of Memory between
// them, and connections without a session are MaxAuxiliary besides those that
// are in their SessionTime.
package p2phost
