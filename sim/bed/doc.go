// Package bed is what cores and wires are tested on: simulated networks that
// take no real time and, for one seed, repeat. Tests call it, those of
// Starling and those of its users.
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
//     makes virtual. Losses and jitter repeat for a seed; in which order
//     goroutines run at one instant does not.
//
// Faults are the same in both: partition and heal, cut, kill, stall, corrupt,
// and every property of a link at run time.
//
// # The model
//
// A host's links take turns at its uplink, a segment of at most 8 KiB each. A
// segment costs 4.5 % and 60 bytes of framing. It is on its way for the link's
// latency and jitter, and then queues for the other host's downlink. A stream
// has 40 kB in flight at first, twice as much each round trip, and 0.7 of it
// after a loss or when it has queued for more than 100 ms. A lost segment of a
// stream comes a retransmission later, and those behind it wait; in a silent
// fault they wait for its end. The window does not shrink in idle times. Not
// modelled: competition with other traffic, packets smaller than a segment,
// paths that lose acknowledgements, and the price of a retransmission to the
// uplink (it is counted, but takes no turn).
//
// # go-libp2p in a bubble
//
// Options and Bubble make go-libp2p, gossipsub and Kademlia run over a Net in
// a bubble of testing/synctest, on the light transport or on go-libp2p's own
// Noise and yamux. What was found with go-libp2p v0.51.0, and what was done:
//
//   - A bubble ends when its goroutines have. Close every host, table (before
//     its host) and pubsub context inside it. Close of a host waits for all
//     its own; dials into a black hole end with it.
//   - A Read that waits for a latency must end on Close, or the bubble
//     freezes: here all that waits does so on a channel.
//   - Waiting for a mutex is not durably blocking. No lock of the bed is held
//     while anything waits; user code that does so stops the virtual time.
//   - Make the Net, the hosts and the channels inside the bubble.
//   - libp2p.BandwidthReporter starts a goroutine that is global to the process
//     and never ends: the bubble panics at its end. Leave it out.
//   - libp2p.NATPortMap asks the real network, for seconds of real time.
//   - Addresses with names are looked up with the machine's resolver: Bubble
//     replaces it by Net.SetName.
//   - A listener on an unspecified IP is resolved with the machine's
//     interfaces: the transports report the host's own address instead.
//   - Without DisableRelay and DisableIdentifyAddressDiscovery hosts learn
//     addresses that have no host; without DisableMetrics all hosts of a process
//     share one registry.
//   - The black-hole counters refuse dials to public IPv6 after 100 failures:
//     they are off. The dial back-off is not: it holds a peer off for 5 s and
//     more after a failure, unless network.WithForceDirectDial asks otherwise.
//   - The default resource manager scales with the machine's memory: Options
//     sets none, and a given one is honoured.
//   - A dial to a private address times out after 5 s, to another after 15 s.
//   - NewGossipSub right after New races with identify: call synctest.Wait
//     before the first dial, and assert that topic peers equal connections.
//   - After a prune, gossipsub grafts again only after a minute: wait longer
//     after a partition before you expect a full mesh.
//   - A refusal by the other side's gater on identity comes after the dialler's
//     Connect has succeeded; both transports show that.
//   - Host.Kill under a live go-libp2p host makes it log "listener
//     unintentionally closed". Close it all the same.
//
// The light transport has no cryptography and believes the identities that the
// two ends tell each other; nothing on it is evidence about Noise, TLS or QUIC.
//
// Nothing here faces a hostile peer: both ends of every link are in this
// process. Queues are bounded all the same (Link.Queue and Link.Buffer,
// accept queues of 128 connections and 256 streams, 1 MiB a stream, 256 KiB a
// datagram socket), since a test that fills memory tells less than one that
// fails; what is dropped is counted in Traffic.
package bed
