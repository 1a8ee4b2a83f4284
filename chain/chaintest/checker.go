package chaintest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

// The reasons of Check.
const (
	ReasonHeader = "bad-header" // it does not decode, or is not what it is labelled
	ReasonSeal   = "bad-seal"   // not made by the chain's signer
	ReasonBody   = "bad-body"   // not the body, or the extra, of its header
)

// Check implements chain.Checker. It never reads the clock.
func (c *Chain) Check(b chain.Block) chain.Verdict {
	c.faults.checked.Add(1)
	if _, err := parse(b.Header); err != nil {
		return chain.Rejected(ReasonHeader)
	}
	if !c.sealed(b.Header) {
		return chain.Rejected(ReasonSeal)
	}
	if err := c.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
		return chain.Rejected(ReasonBody)
	}
	return chain.Accepted()
}

func (c *Chain) sealed(h chain.Header) bool {
	return hmac.Equal(h.Bytes[sealedBytes:], seal(c.key, h.Bytes[:sealedBytes]))
}

// VerifyHeaders implements chain.Checker.
func (c *Chain) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	for i, h := range hs {
		f, err := parse(h)
		if err != nil {
			return i, err
		}
		switch {
		case f.parent != parent.Ref.Hash || f.number == 0 || f.number-1 != parent.Ref.Number:
			return i, fmt.Errorf("%w: header %s does not link to %s", chain.ErrInvalid, h.Ref, parent.Ref)
		case !f.time.After(parent.Time):
			return i, fmt.Errorf("%w: header %s is not later than its parent", chain.ErrInvalid, h.Ref)
		case !c.sealed(h):
			return i, fmt.Errorf("%w: header %s is not sealed by the signer", chain.ErrInvalid, h.Ref)
		}
		parent = h
	}
	return len(hs), nil
}

// VerifyBody implements chain.Checker.
func (c *Chain) VerifyBody(h chain.Header, body, extra []byte) error {
	f, err := parse(h)
	if err != nil {
		return err
	}
	if uint64(len(body)) != uint64(f.bodyLen) || sha256.Sum256(body) != f.bodyHash {
		return fmt.Errorf("%w: body of %d bytes is not that of %s", chain.ErrInvalid, len(body), h.Ref)
	}
	if _, err := Txs(body); err != nil {
		return err
	}
	want := []byte(nil)
	if c.cfg.Extra {
		want = extraOf(f.bodyHash)
	}
	if string(extra) != string(want) {
		return fmt.Errorf("%w: extra of %d bytes is not that of %s", chain.ErrInvalid, len(extra), h.Ref)
	}
	return nil
}
