package swarm

import (
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// PeerView is a session, for people and for metrics.
type PeerView struct {
	Info      peer.Info
	Score     float64 // -100 to 100
	Static    bool
	Trusted   bool
	Protected bool
	Seeded    bool          // only seeds and DNS lists vouch for it
	RTT       time.Duration // 0: unknown
	Head      uint64        // that it claims
	Blocks    float64       // delivered, decaying
	Txs       float64
	Opened    time.Time // on the table's clock
}

// KnownView is an address of the book.
type KnownView struct {
	Addr    peer.Addr
	ID      peer.ID
	Source  wire.Source
	Tried   bool
	LastTry time.Time // zero: never
	LastOK  time.Time // zero: never
	Fails   int       // in a row
	Marked  peer.Reason
	Until   time.Time // the mark's end
}

// BanView is a ban that is running.
type BanView struct {
	Target Target
	Until  time.Time
	Reason string
	Auto   bool
	Times  int // bans by score so far, which choose how long the next lasts
}

func (c *core) view(now time.Time, s *session) PeerView {
	v := PeerView{
		Info: s.info, Protected: c.protected[s.info.ID], Seeded: s.seeded,
		RTT: s.rtt, Head: s.head, Blocks: s.blocks, Txs: s.txs, Opened: s.opened,
	}
	if st := c.board.by[s.subj]; st != nil {
		v.Score = st.score(now)
	}
	if s.named {
		for _, f := range c.fixed {
			if s.fixed == f || c.isFixed(f, s.info.ID, s.ep) {
				v.Static, v.Trusted = v.Static || f.static, v.Trusted || f.trusted
			}
		}
	}
	return v
}

// known lists addresses of the book, proven ones first.
func (c *core) known(limit int) []KnownView {
	var out []KnownView
	add := func(e *entry) {
		if len(out) < limit {
			out = append(out, KnownView{
				Addr: e.addr, ID: e.id, Source: e.source, Tried: e.tried,
				LastTry: e.lastTry, LastOK: e.lastOK, Fails: e.fails, Marked: e.marked, Until: e.until,
			})
		}
	}
	for _, e := range c.book.tried {
		add(e)
	}
	for _, g := range c.book.groups {
		for _, e := range g.entries {
			add(e)
		}
	}
	return out
}
