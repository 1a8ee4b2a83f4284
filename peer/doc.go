// Package peer holds the values that every part of Starling uses to speak of
// a peer: who it is (ID), where it is (Addr), what is known of it (Info), why
// something was decided about it (Reason) and what it did wrong (Offense).
//
// The values are immutable and own no state. Every package imports it; it
// imports only the standard library. What a hostile peer controls is the text
// in an ID, an Addr and an Info: it is bounded and escaped where it enters,
// by Clean, and never interpreted here.
package peer
