// Package stranger lets a prober meet a node through a whole wire: it runs the
// wire with a Host that has no chain, serves nobody, judges nobody, and takes
// the one session that the prober asked for.
//
// The wires' own Probe functions use it; nobody else does. What a hostile peer
// says reaches the prober cleaned and bounded by the wire; of what comes without
// being asked for only the last account of the peer's chain and its clock are
// kept.
package stranger
