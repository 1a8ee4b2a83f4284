// Package subnet says which addresses are taken for one owner's, wherever
// something is bounded by address: the peer table, serving, the gates before a
// handshake, the RPC. It is pure. A hostile host has as many addresses as its
// provider gives it; these are the lines that it has to cross to count as others.
package subnet
