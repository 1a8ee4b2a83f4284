// Command opnode is op-node v1.19.6's P2P stack, for tests to talk to.
package main

import (
	"github.com/starlingp2p/starling/interop/peers/opnode"
	"github.com/starlingp2p/starling/interop/peers/steer"
)

func main() { steer.Main(opnode.Run) }
