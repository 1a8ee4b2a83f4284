// Package opnode runs op-node's own P2P stack as a process that a test steers:
// the host, gossip, discovery and the sync server of a rollup node, over a chain
// that is a pure function of its parameters. It never imports Starling.
//
// The process reads commands, one JSON object a line, on its standard input, and
// writes answers and events, one JSON object a line, on its standard output; its
// log goes to standard error. It ends when the input does. See Command.
//
// A module for each release links it with that release of op-node.
package opnode
