// Package rpc lets go-ethereum's own RPC client drive a starling node over
// HTTP, WebSocket and the unix socket. It holds tests only, and owns the
// processes that they start; nobody imports it. A hostile client is met in
// internal/rpc.
package rpc
