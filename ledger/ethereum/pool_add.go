package ethereum

import (
	"context"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
)

// Add implements chain.TxPool.
func (p *Pool) Add(txs []chain.Tx) []chain.Verdict {
	added, vs := p.in.Add(txs)
	p.in.Publish(added)
	return vs
}

// AddLocal implements chain.LocalTxPool. A transaction that is accepted is in
// the journal, synced, when AddLocal returns. One that came from a peer before
// becomes our own. It blocks on the disk.
func (p *Pool) AddLocal(ctx context.Context, txs []chain.Tx) []chain.Verdict {
	return p.in.AddLocal(ctx, txs)
}

// Subscribe implements chain.TxPool.
func (p *Pool) Subscribe(ctx context.Context) <-chan []chain.Tx { return p.in.Subscribe(ctx) }

// admit checks an encoded transaction, cheapest first, and takes it in.
func (p *Pool) admit(b []byte, local bool) (chain.Tx, chain.Verdict) {
	at, v := p.seen(b, local)
	if v.Reason != "" {
		return chain.Tx{}, v
	}
	j := p.judge(b, at)
	if j.verdict.Reason == "" {
		j.e.local = local
		if j.verdict = p.wanted(j.e); j.verdict.Reason == "" && j.e.blobCap != nil {
			j.verdict = verifyBlobs(j.t)
		}
	}
	p.held.Lock()
	defer p.held.Unlock()
	if j.verdict.Reason == "" {
		j.verdict = p.fit(j.e) // another may have come meanwhile
	}
	if j.verdict.Reason == "" {
		if old := p.held.ByHash[j.e.tx.Hash]; old != nil { // it becomes our own
			p.remove(old)
		}
		j.e.tx.Bytes = slices.Clone(b) // which may lie in a large message
		j.verdict = p.insert(j.e)
	}
	if v := j.verdict; v.Reason != "" {
		p.in.Count(v.Reason, 1)
		keep := recentFor
		if !j.lasting {
			keep = unwantedFor(v.Reason)
		}
		if j.e != nil && p.held.ByHash[j.e.tx.Hash] == nil && keep > 0 && (j.lasting || !local) {
			p.recent.addFor(keep, j.e.tx.Hash, v, j.lasting, time.Now())
		}
		return chain.Tx{}, v
	}
	return j.e.tx, chain.Accepted()
}

// seen gives the head, and the verdict on a transaction that is here or was
// judged for good. Those with blobs are not looked for: their hash is not that
// of their bytes.
func (p *Pool) seen(b []byte, local bool) (head, chain.Verdict) {
	var h chain.Hash
	plain := len(b) > 0 && len(b) <= maxTx && b[0] != types.BlobTxType
	if plain {
		h = chain.Hash(crypto.Keccak256Hash(b))
	}
	p.held.Lock()
	defer p.held.Unlock()
	if !plain {
		return p.head, chain.Verdict{}
	}
	var v chain.Verdict
	if old := p.held.ByHash[h]; old != nil && (old.local || !local) {
		v = chain.Ignored("known")
	} else if r, ok := p.recent.get(h, time.Now()); ok && r.lasting {
		v = r.verdict
	}
	if v.Reason != "" {
		p.in.Count(v.Reason, 1)
	}
	return p.head, v
}

// wanted is fit, for whoever does not hold the lock.
func (p *Pool) wanted(e *pooled) chain.Verdict {
	p.held.Lock()
	defer p.held.Unlock()
	return p.fit(e)
}

// unwantedFor says how long a transaction that is ignored for that reason need
// not be fetched, whoever announces it; zero: it may fit at once.
func unwantedFor(reason string) time.Duration {
	switch reason {
	case underpriced, nonceUsed, underpricedReplacement, nonceTooFar:
		return recentFor
	case forkNotActive, gasOverBlockLimit, gasOverLimit, gasTooLow, codeTooLarge:
		return headFor
	}
	return 0
}

// Reasons that the pool branches on.
const (
	badProof               = "bad-proof"
	underpriced            = "underpriced"
	nonceUsed              = "nonce-used"
	nonceTooFar            = "nonce-too-far-ahead"
	underpricedReplacement = "underpriced-replacement"
	forkNotActive          = "fork-not-active"
	gasOverBlockLimit      = "gas-over-block-limit"
	gasOverLimit           = "gas-over-limit"
	gasTooLow              = "gas-too-low"
	codeTooLarge           = "code-too-large"
)
