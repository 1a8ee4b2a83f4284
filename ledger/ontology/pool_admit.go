package ontology

import (
	"container/heap"
	"crypto/sha256"
	"errors"
	"math/bits"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const badSignature = "bad-signature"

// admit checks an encoded transaction, cheapest first, and takes it in.
//
// It rejects what no release relays: encodings and signatures that are wrong.
// What a node may hold against a transaction by its own configuration or out of
// what it knows is nobody's fault.
func (p *Pool) admit(b []byte, local bool) (chain.Tx, chain.Verdict) {
	e, v := p.judge(b, local)
	p.held.Lock()
	defer p.held.Unlock()
	if v.Reason == "" {
		v = p.fit(e) // another may have come while we verified
	}
	if v.Reason == "" && !p.insert(e) {
		v = chain.Ignored("pool-full")
	}
	if v.Reason != "" {
		p.in.Count(v.Reason, 1)
		return chain.Tx{}, v
	}
	return e.tx, chain.Accepted()
}

// judge is admit without taking in; an empty reason: it is authentic, and was
// wanted when we looked.
func (p *Pool) judge(b []byte, local bool) (*pooled, chain.Verdict) {
	if len(b) > codec.MaxTx {
		return nil, chain.Rejected("too-large")
	}
	t, err := codec.DecodeTx(b, codec.Strict)
	if err != nil {
		return nil, chain.Rejected("bad-encoding")
	}
	e := &pooled{tx: t.Chain(), payer: t.Payer, price: t.GasPrice, local: local}
	digest := chain.Hash(sha256.Sum256(b))
	limit := t.GasLimit
	if t.Type == codec.TxEIP155 {
		x, err := decodeEIP155(t.Code)
		if err != nil {
			return nil, verdictOf(err)
		}
		e.price, limit = x.gasPrice, x.gasLimit
		p.held.Lock()
		v := p.known(e, digest)
		p.held.Unlock()
		if v.Reason != "" {
			return nil, v
		}
		// Who pays is known by the signature only.
		if e.payer, err = x.sender(p.c.EVMChainID); err != nil {
			return nil, p.refuse(err, digest)
		}
		e.tx.Sender = string(e.payer[:])
	}
	if v := p.priced(e, limit); v.Reason != "" {
		return nil, v
	}
	p.held.Lock()
	v := p.known(e, digest)
	if v.Reason == "" {
		v = p.fit(e)
	}
	p.held.Unlock()
	if v.Reason != "" {
		return nil, v
	}
	if t.Type != codec.TxEIP155 {
		if err := checkSigs(t); err != nil {
			return nil, p.refuse(err, digest)
		}
	}
	return e, chain.Verdict{}
}

// refuse remembers a forged encoding.
func (p *Pool) refuse(err error, digest chain.Hash) chain.Verdict {
	v := verdictOf(err)
	if v.Action == chain.Reject {
		p.held.Lock()
		p.forged.Add(digest)
		p.held.Unlock()
	}
	return v
}

// verdictOf is what a fault of a transaction means. Keys and forms that we
// cannot check are for those who can.
func verdictOf(err error) chain.Verdict {
	switch {
	case errors.Is(err, errForm):
		return chain.Ignored(chain.Unchecked)
	case errors.Is(err, errScript):
		return chain.Rejected("bad-script")
	}
	return chain.Rejected(badSignature)
}

// priced says whether a transaction offers enough. Each node has its own idea
// of that.
func (p *Pool) priced(e *pooled, limit uint64) chain.Verdict {
	high, _ := bits.Mul64(e.price, limit)
	v := chain.Verdict{}
	switch {
	case high > 0:
		v = chain.Ignored("fee-overflow")
	case limit < p.c.MinGasLimit:
		v = chain.Ignored("low-gas-limit")
	case e.price < p.c.MinGasPrice:
		v = chain.Ignored("low-gas-price")
	}
	if v.Reason != "" { // the hash covers both, so nobody need fetch it
		p.held.Lock()
		p.unfit.Add(e.tx.Hash)
		p.held.Unlock()
	}
	return v
}

// known says why an encoding need not be looked at again.
func (p *Pool) known(e *pooled, digest chain.Hash) chain.Verdict {
	switch {
	case p.held.ByHash[e.tx.Hash] != nil:
		return chain.Ignored("known")
	case p.unfit.Has(e.tx.Hash):
		return chain.Ignored("recently-unfit")
	case p.forged.Has(digest):
		return chain.Rejected(badSignature)
	}
	return chain.Verdict{}
}

// fit says why a transaction is not wanted now; an empty reason: it is. None of
// it is its deliverer's fault.
func (p *Pool) fit(e *pooled) chain.Verdict {
	perPayer := p.c.PerPayer
	if e.local {
		perPayer = localPerPayer
	}
	switch {
	case p.held.ByHash[e.tx.Hash] != nil:
		return chain.Ignored("known")
	case p.unfit.Has(e.tx.Hash): // a block has included it meanwhile
		return chain.Ignored("recently-unfit")
	case p.payers[e.payer] >= perPayer:
		return chain.Ignored("payer-full")
	case e.local && p.held.Ours.Bytes+e.Cost() > localBytes:
		return chain.Ignored("pool-full")
	case !e.local && p.full(e) && (len(p.cheapest) == 0 || p.cheapest[0].price >= e.price):
		return chain.Ignored("pool-full")
	}
	return chain.Verdict{}
}

// full reports whether there is no room for a transaction of another's.
func (p *Pool) full(e *pooled) bool {
	return p.held.Others.Bytes+e.Cost() > p.c.MaxBytes || p.held.Others.Txs >= p.c.MaxTxs
}

// insert takes a transaction in, in the place of cheaper ones where it must;
// false: those are not enough.
func (p *Pool) insert(e *pooled) bool {
	var out []*pooled
	for !e.local && p.full(e) {
		if len(p.cheapest) == 0 || p.cheapest[0].price >= e.price {
			for _, back := range out {
				p.put(back)
			}
			return false
		}
		out = append(out, p.cheapest[0])
		p.take(p.cheapest[0])
	}
	p.in.Count("evicted", len(out))
	p.arrivals++
	e.arrival, e.since = p.arrivals, p.head.Number
	p.put(e)
	return true
}

func (p *Pool) put(e *pooled) {
	p.held.Put(e)
	p.payers[e.payer]++
	if !e.local {
		heap.Push(&p.cheapest, e)
	}
}

func (p *Pool) take(e *pooled) {
	p.held.Remove(e)
	if p.payers[e.payer]--; p.payers[e.payer] == 0 {
		delete(p.payers, e.payer)
	}
	if !e.local {
		heap.Remove(&p.cheapest, e.at)
	}
}
