package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Config is what a Server needs. Only Chain is required.
type Config struct {
	Chain chain.Reader
	Txs   chain.TxReader // nil: only the pool gives transactions
	Pool  chain.TxPool   // nil: only the ledger does
	// ReceiptsApart: bodies are sent without their Extra, which is asked for as
	// receipts.
	ReceiptsApart bool
	// App answers application requests; nil refuses them as unsupported. It may
	// block until ctx ends; calls are concurrent, at most AppWorkers.
	App func(ctx context.Context, from peer.ID, r wire.AppRequest) ([]byte, error)
	// Addrs gives at most max addresses to hand out; nil refuses.
	Addrs func(ctx context.Context, max int) []peer.Addr
	// May reports whether a peer may have a transaction as an answer; nil: any.
	// Gave is told which it was given; nil: nobody is. Neither may block.
	May  func(to peer.ID, h chain.Hash) bool
	Gave func(to peer.ID, txs []chain.Tx)
	// Charge reports a fault; nil drops it. It must not block.
	Charge func(s wire.Session, o peer.Offense, detail string)

	Budget Budget

	Workers      int // requests that read the chain at once, half of them large ones at most; 0: 16
	AppWorkers   int // application requests at once; 0: 16
	QueuePerPeer int // requests of one peer that wait or run; 0: 16; below 0: 1, and none waits
	MaxPeers     int // peers with a budget of their own; 0: 4096
	MaxPrefixes  int // prefixes likewise; 0: 4096

	MaxWait    time.Duration // that a request may be early, and may wait for a worker; 0: 1 s; below 0: none
	ServeTime  time.Duration // that one answer may take; 0: 20 s
	AnswerMax  int           // bytes of one answer; 0: 10 MiB
	MaxHeaders int           // in one answer; 0: 1024
	MaxBlocks  int           // and bodies, and blocks whose receipts are asked for; 0: 256
	MaxTxs     int           // 0: 1024
	MaxAddrs   int           // 0: 128

	Logger *slog.Logger // nil: none
}

// What one peer is served by default, in bytes a second and in bytes at once.
const (
	DefaultPeerRate  = 64 << 20
	DefaultPeerBurst = 64 << 20
)

// Budget is what is served, in bytes a second and bytes at once. A zero field
// takes its default. The defaults let our own client run at twice the most
// that it can fetch from one peer over a round trip of 10 ms or more, which is
// 256 KiB each 10 ms (the native wire's window).
type Budget struct {
	PeerRate, PeerBurst     int  // one peer; 0: 64 MiB/s and 64 MiB
	PrefixRate, PrefixBurst int  // a /24 or /56; 0: 128 MiB/s and 128 MiB
	GlobalRate, GlobalBurst int  // all; 0: 512 MiB/s and 512 MiB
	CountLoopback           bool // the prefix rule holds for loopback too
	Off                     bool // bytes are not limited; workers are
}

// least is what any request costs, in bytes: a look-up is not free because it
// finds nothing.
const least = 4 << 10

func (c Config) withDefaults() Config {
	or := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	b := &c.Budget
	or(&b.PeerRate, DefaultPeerRate)
	or(&b.PeerBurst, DefaultPeerBurst)
	or(&b.PrefixRate, max(128<<20, b.PeerRate))
	or(&b.PrefixBurst, max(128<<20, b.PeerBurst))
	or(&b.GlobalRate, max(512<<20, b.PrefixRate))
	or(&b.GlobalBurst, max(512<<20, b.PrefixBurst))
	or(&c.Workers, 16)
	or(&c.AppWorkers, 16)
	if c.QueuePerPeer < 0 {
		c.QueuePerPeer, c.MaxWait = 1, -1
	}
	or(&c.QueuePerPeer, 16)
	or(&c.MaxPeers, 4096)
	or(&c.MaxPrefixes, 4096)
	switch {
	case c.MaxWait == 0:
		c.MaxWait = time.Second
	case c.MaxWait < 0:
		c.MaxWait = 0
	}
	if c.ServeTime <= 0 {
		c.ServeTime = 20 * time.Second
	}
	or(&c.AnswerMax, 10<<20)
	or(&c.MaxHeaders, 1024)
	or(&c.MaxBlocks, 256)
	or(&c.MaxTxs, 1024)
	or(&c.MaxAddrs, 128)
	if c.Charge == nil {
		c.Charge = func(wire.Session, peer.Offense, string) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
