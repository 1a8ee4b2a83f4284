package opstack

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// badSignature is the row of the table that rests on what we know of the
// signer.
const badSignature = "bad-signature"

// When no signature has counted for so many block times, and so many peers
// have brought others, then it is likely that the signer has changed and we do
// not know: nobody is charged for that any more, until one counts again.
const (
	doubtSlots = 10
	doubtPeers = 3
	warnEvery  = 10 * time.Minute
)

// doubt remembers who brought signatures that do not count since one counted.
type doubt struct {
	mu     sync.Mutex // a leaf
	began  time.Time  // of this run
	peers  map[peer.ID]bool
	warned time.Time
}

// doubtful takes in that a session brought a signature that does not count, and
// reports whether that is rather our fault.
func (n *node) doubtful(s *session) bool {
	rules := n.w.cfg.Rules
	now, d := time.Now(), &n.doubt
	d.mu.Lock()
	defer d.mu.Unlock()
	good := rules.Signers().LastGood()
	if good.Before(d.began) {
		good = d.began
	}
	if now.Sub(good) < doubtSlots*rules.Config().BlockTime {
		d.peers = nil
		return false
	}
	if d.peers == nil {
		d.peers = map[peer.ID]bool{}
	}
	if len(d.peers) < doubtPeers {
		d.peers[s.info.ID] = true
	}
	if len(d.peers) < doubtPeers {
		return false
	}
	if now.Sub(d.warned) >= warnEvery {
		d.warned = now
		n.w.cfg.Logger.Warn("opstack: several peers bring blocks of another signer, and none of ours: check the configured signer", "signer", rules.Signers().Current().String())
	}
	return true
}
