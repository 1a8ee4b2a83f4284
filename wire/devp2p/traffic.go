package devp2p

import (
	"fmt"
	"sync/atomic"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// ethTypes are the names of eth's messages, by code.
var ethTypes = [18]string{
	eth.StatusMsg: "status", eth.NewBlockHashesMsg: "new-block-hashes", eth.TransactionsMsg: "transactions",
	eth.GetBlockHeadersMsg: "get-headers", eth.BlockHeadersMsg: "headers", eth.GetBlockBodiesMsg: "get-bodies",
	eth.BlockBodiesMsg: "bodies", eth.NewBlockMsg: "new-block", eth.NewPooledTransactionHashesMsg: "transaction-hashes",
	eth.GetPooledTransactionsMsg: "get-transactions", eth.PooledTransactionsMsg: "pooled-transactions",
	eth.GetReceiptsMsg: "get-receipts", eth.ReceiptsMsg: "receipts", eth.BlockRangeUpdateMsg: "block-range",
}

// traffic counts messages by protocol and type: a fixed set, made once.
type traffic struct {
	eth   [2][len(ethTypes) + 1]count // out and in; the last: any other
	base  [2]count
	other map[string]*[2]count // the embedder's protocols by name
}

type count struct{ messages, bytes atomic.Uint64 }

func newTraffic(ps []Protocol) *traffic {
	t := &traffic{other: map[string]*[2]count{}}
	for _, p := range ps {
		t.other[p.Name] = new([2]count)
	}
	return t
}

func (c *count) add(n int) {
	c.messages.Add(1)
	c.bytes.Add(uint64(n))
}

// note counts a message of a share, with its code relative to it; the base
// protocol's share has no name.
func (t *traffic) note(s base.Share, code uint64, size int, inbound bool) {
	way := 0
	if inbound {
		way = 1
	}
	switch {
	case s.Name == "":
		t.base[way].add(size)
	case s.Name == eth.Name:
		t.eth[way][min(code, uint64(len(ethTypes)))].add(size)
	default:
		if c := t.other[s.Name]; c != nil {
			c[way].add(size)
		}
	}
}

// Traffic implements wire.Metered.
func (w *Wire) Traffic() map[wire.TrafficKey]wire.Traffic {
	out := map[wire.TrafficKey]wire.Traffic{}
	put := func(protocol, kind string, way int, c *count) {
		if n := c.messages.Load(); n > 0 {
			out[wire.TrafficKey{Protocol: protocol, Type: kind, Inbound: way == 1}] = wire.Traffic{Messages: n, Bytes: c.bytes.Load()}
		}
	}
	for way := range 2 {
		put("p2p", "base", way, &w.traffic.base[way])
		for code := range w.traffic.eth[way] {
			name := "unknown"
			if code < len(ethTypes) && ethTypes[code] != "" {
				name = ethTypes[code]
			} else if code < len(ethTypes) {
				name = fmt.Sprintf("code-%#02x", code)
			}
			put("eth", name, way, &w.traffic.eth[way][code])
		}
		for name, c := range w.traffic.other {
			put(name, "message", way, &c[way])
		}
	}
	return out
}
