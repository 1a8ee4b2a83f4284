// Package discv finds peers by discv5 (ethereum/devp2p, discv5), for wires
// whose peers have node records: a UDP socket, our own record with the entries
// that the wire wants in it, and rounds of lookups that give the records that
// the wire has a use for.
//
// Pair is discv4 and discv5 on one socket, and Lists are node lists in DNS
// (EIP-1459), for Ethereum's networks.
//
// A wire owns a V5 or a Pair and reports what it finds; nothing here dials a peer. The
// table, its limits per address prefix and the proof that a peer owns its
// address are go-ethereum's p2p/discover.
//
// A hostile peer can make it send packets at the pace of that library, and can
// hand it records of its own choice: the round ends after so many of them, and
// what the wire's filter refuses is forgotten.
package discv
