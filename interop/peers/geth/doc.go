// Package geth is what the peers that wrap a geth share, whatever its version:
// events of its chain, pool and peers, and the commands that all of them take.
//
// A peer's own module chooses geth's version, so this package uses only what
// v1.13.15 and v1.17.10 have alike. It never imports Starling.
package geth
