// Package rpc serves a node's methods as JSON-RPC 2.0 on a unix socket in its
// datadir, and calls them.
//
// It owns the socket and its connections. The daemon serves, the command line
// and tests call. Whoever can open the socket, which only the node's user can,
// has all authority: nothing that a network peer sends comes here. A broken or
// greedy client is bounded all the same: 64 connections, 1 MiB a message, one
// call at a time on a connection, an answer within a minute.
package rpc
