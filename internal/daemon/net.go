package daemon

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"

	"github.com/starlingp2p/starling"
)

// netMethods are those that every client of an Ethereum node asks first.
func (n *Node) netMethods() []starling.Method {
	return []starling.Method{
		read("net_version", "The network as a decimal number: on a wire whose networks have names, the first 8 bytes of the genesis hash.", asks(n.networkID), ""),
		read("net_peerCount", "How many sessions are open, as a hex number.", asks(func() string { return fmt.Sprintf("%#x", len(n.node.Client().Peers())) }), ""),
		read("net_listening", "Whether others can dial the node.", asks(func() bool { return len(n.stack.wire.Addrs()) > 0 }), true),
		read("web3_clientVersion", "The program, its version, the system and Go.", asks(clientVersion), ""),
	}
}

// networkID is a number that differs between networks.
func (n *Node) networkID() string {
	if n.stack.networkID != 0 {
		return strconv.FormatUint(n.stack.networkID, 10)
	}
	genesis := n.stack.chain.Status().Genesis
	return strconv.FormatUint(binary.BigEndian.Uint64(genesis[:8]), 10)
}

// clientVersion has the form of geth's.
func clientVersion() string {
	return fmt.Sprintf("starling/v%s/%s-%s/%s", Version, runtime.GOOS, runtime.GOARCH, runtime.Version())
}
