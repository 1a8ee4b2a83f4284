package sequenced

import (
	"crypto/ed25519"

	"github.com/starlingp2p/starling/chain"
)

// Of a bundle that brings something new, so many more transactions are verified
// though they are not wanted; then so many for each that is wanted.
const (
	vouchLeast = 16
	vouchEach  = 16
)

// vouch looks at the signatures of what was ignored in a bundle that would be
// relayed since something else in it was accepted. What is in the pool already
// has been looked at.
func (p *Pool) vouch(txs []chain.Tx, vs []chain.Verdict, accepted int) {
	if accepted == 0 || accepted == len(txs) {
		return
	}
	var open []int
	for i, v := range vs {
		switch {
		case v.Action == chain.Reject:
			return // it is not relayed
		case v.Action == chain.Ignore && v.Reason != "known":
			open = append(open, i)
		}
	}
	if len(open) > vouchLeast+vouchEach*accepted {
		for _, i := range open {
			vs[i] = chain.Ignored(chain.Unchecked)
		}
		return
	}
	for _, i := range open {
		b := txs[i].Bytes
		t, err := DecodeTx(b)
		digest := unsigned(b)
		if err == nil && ed25519.Verify(t.From[:], txPreimage(p.f.hash, digest), t.Sig[:]) {
			continue
		}
		p.held.Lock()
		p.unfit.Add(txHash(digest, b))
		p.held.Unlock()
		p.in.Count("bad-signature", 1)
		vs[i] = chain.Rejected("bad-signature")
		return
	}
}
