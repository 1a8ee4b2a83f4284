// Package serve answers the requests of peers, on any wire, within budgets.
//
// The node makes one Server and hands its Serve to the wires as Host.Serve.
// Each request passes the budget of its peer, then of its address prefix, then
// the global one, all in bytes served; then it takes a place of its peer, of
// its prefix and of all workers; then the chain, the pool or the application
// answers. A request that is a little early waits, at most a second, outside
// any lock and in its own peer's bounded queue; more is refused with a
// *wire.Refusal that names the limit and when to come back. Only what a peer
// sends inside that time is a fault of it.
//
// What is expected to be large, 32 KiB and more, has half of the workers at most,
// and they read in turn (package turns): a small request finds a worker, and
// a processor, whatever others ask for.
//
// Serve runs on its caller's goroutine: the package starts none, and waits for
// none but by channels and timers that end with the request's context.
//
// What a hostile peer can do: use its budget, and cost us one table row. Many
// of them on one prefix use that prefix's budget; fresh identities bring no
// fresh one. Rows are bounded: when they run out, newcomers share a row.
package serve
