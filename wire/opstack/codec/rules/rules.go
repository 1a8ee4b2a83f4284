package rules

import (
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Rules is the table for one network. It is safe for concurrent use.
type Rules struct {
	cfg     Config
	checks  []Check
	signers Signers
	seen    *seen
	found   *found
}

// New makes the rules of a network.
func New(cfg Config) (*Rules, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Rules{cfg: cfg.withDefaults(), checks: Checks(), seen: newSeen(), found: newFound()}
	r.signers.Set(cfg.Signer)
	return r, nil
}

// Config is what the rules were made of, with the defaults filled in.
func (r *Rules) Config() Config { return r.cfg }

// Signers are the accounts that may sign blocks.
func (r *Rules) Signers() *Signers { return &r.signers }

// run applies a part of the table; nil if nothing is broken.
func (r *Rules) run(checks []Check, m *message) *Check {
	for i := range checks {
		if checks[i].broken(r, m) {
			return &checks[i]
		}
	}
	return nil
}

// Unpack decompresses a message of gossip: the first part of the table. The
// result shares nothing with data.
func (r *Rules) Unpack(data []byte) ([]byte, *Check) {
	m := &message{data: data}
	why := r.run(r.checks[:firstReceived], m)
	return m.body, why
}

// Receive checks the signature of an unpacked message of a topic's version,
// and decodes it: the second part of the table. The block shares body's
// memory. Its header is complete unless its time has it refused in any case.
func (r *Rules) Receive(v codec.Version, body []byte) (chain.Block, *Check) {
	m := &message{version: v, body: body, now: r.cfg.Wall.Now()}
	why := r.run(r.checks[firstReceived:FirstJudged], m)
	return m.block, why
}

// Judge applies the rest of the table to a block: of one that Receive made; or
// of any other, whose Extra must hold a signature, which it then checks too.
// Nil means that it may be relayed.
func (r *Rules) Judge(b chain.Block) *Check {
	m := &message{block: b, now: r.cfg.Wall.Now()}
	if why := r.Authentic(b); why != nil {
		return why
	}
	return r.run(r.checks[FirstJudged:], m)
}

// Authentic applies the rows on the signer to a block, whose Extra must hold a
// signature; nil means that the sequencer signed it.
func (r *Rules) Authentic(b chain.Block) *Check {
	none, bad := &r.checks[firstReceived], &r.checks[firstReceived+1]
	if none.broken(r, nil) {
		return none
	}
	if len(b.Extra) < codec.SignatureSize {
		return bad
	}
	sig := b.Extra[:codec.SignatureSize]
	if r.found.signed(b.Header.Ref.Hash, sig) {
		return nil
	}
	e, err := codec.EnvelopeOf(b)
	if err != nil || e.BlockHash != b.Header.Ref.Hash {
		return bad
	}
	signing := codec.SigningHash(r.cfg.ChainID, codec.PayloadHash(codec.AppendEnvelope(nil, e)))
	if !r.signers.Check(signing, sig) {
		return bad
	}
	r.found.putSigned(e.BlockHash, sig)
	return nil
}

// Rooted reports whether Receive or Judge has found that this very body, the
// same memory, belongs to the block of that hash.
func (r *Rules) Rooted(h chain.Hash, body []byte) bool { return r.found.rooted(h, body) }
