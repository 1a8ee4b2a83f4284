// Package opstack tests the OP Stack wire against op-node: v1.19.6, and v1.19.0
// for its sync client; and its feeding of an execution client against geth
// v1.17.10. Each runs as a process by the modules in interop/peers.
package opstack
