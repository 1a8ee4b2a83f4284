// Package rpc serves a node's methods as JSON-RPC 2.0, and calls them: on a
// unix socket in the datadir, as a stream of messages or over HTTP, and over
// HTTP on a TCP address. Other parts of the node mount HTTP handlers of their
// own on it.
//
// It owns the listeners and their connections. The daemon serves; the command
// line and tests call. Whoever can open the socket, which only the node's user
// can, has all authority. Over TCP authority takes a token, on loopback too,
// since every user and every web page of the machine can reach that.
//
// Nothing that a network peer sends comes here. A broken, greedy or hostile
// client is bounded: connections, the size and depth of messages, calls in a
// batch, calls a second of one client, calls at once, bytes held for requests,
// the time to send a request and to take an answer. A web page is met by Host,
// Origin and content type; who guesses tokens by a comparison that tells
// nothing and a lock-out. Calls read snapshots, and those that change
// something are few at once, so that nobody here slows the node down.
package rpc
