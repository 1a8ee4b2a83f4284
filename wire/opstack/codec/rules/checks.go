package rules

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Check is one row of the table.
type Check struct {
	Name    string        // fixed: the reason of its verdict and a metric label
	Why     string        // for people
	Verdict chain.Verdict // of a message that breaks it
	broken  func(*Rules, *message) bool
}

// message is a block under check; a check leaves what it made to those behind it.
type message struct {
	data    []byte // as it travelled
	version codec.Version
	body    []byte // not compressed: signature and envelope
	env     *codec.Envelope
	block   chain.Block
	now     time.Time

	known, tooMany bool // of seen
}

// Places in the table where its parts begin: Receive's, and that which Judge
// applies to what Receive made.
const (
	firstReceived = 3
	FirstJudged   = 6
)

// Checks lists the table in its order.
func Checks() []Check {
	reject := func(s peer.Severity) chain.Verdict { return chain.RejectedAt(s, "") }
	clock := func(s peer.Severity) chain.Verdict {
		v := reject(s)
		v.Clock = true
		return v
	}
	all := []Check{
		{Name: "snappy-header", Why: "the message does not begin with a length as snappy has it", Verdict: reject(peer.Fatal), broken: snappyHeader},
		{Name: "size", Why: "the message is shorter than a signature, or longer than 10 MiB, when decompressed", Verdict: reject(peer.Fatal), broken: messageSize},
		{Name: "snappy", Why: "the message does not decompress", Verdict: reject(peer.Fatal), broken: snappyBody},
		{Name: "no-signer", Why: "no sequencer address is configured or known yet", Verdict: chain.Ignored(""), broken: noSigner},
		{Name: "bad-signature", Why: "the block is not signed by the sequencer of this chain", Verdict: reject(peer.High), broken: badSignature},
		{Name: "bad-payload", Why: "the payload does not decode in its topic's version", Verdict: reject(peer.Fatal), broken: badPayload},
		// Late relays are honest: it costs nothing.
		{Name: "too-old", Why: "the block is older than the gossip timestamp threshold", Verdict: clock(peer.None), broken: tooOld},
		{Name: "from-the-future", Why: "the block's time is more than 5 seconds ahead of our clock", Verdict: clock(peer.Low), broken: fromTheFuture},
		{Name: "hash-mismatch", Why: "the block's hash is not the one that it claims", Verdict: reject(peer.High), broken: hashMismatch},
		{Name: "withdrawals", Why: "the block has withdrawals, which no OP Stack block has", Verdict: reject(peer.High), broken: withWithdrawals},
		{Name: "blob-fields", Why: "a block from before Ecotone has blob gas fields", Verdict: reject(peer.High), broken: earlyBlobFields},
		{Name: "blob-gas-used", Why: "a block from before Jovian has used blob gas", Verdict: reject(peer.High), broken: blobGasUsed},
		{Name: "excess-blob-gas", Why: "the block has excess blob gas", Verdict: reject(peer.High), broken: excessBlobGas},
		{Name: "roots", Why: "the block lacks a parent beacon block root or a withdrawals root that its version calls for", Verdict: reject(peer.High), broken: rootsMissing},
		// Its relay may have seen fewer of them than we did.
		{Name: "height-full", Why: "the sequencer has signed more than six blocks of this height", Verdict: reject(peer.Low), broken: heightFull},
		{Name: "seen", Why: "the block was seen before", Verdict: chain.Ignored(""), broken: seenBefore},
	}
	for i := range all {
		all[i].Verdict.Reason = all[i].Name
	}
	return all
}

func snappyHeader(_ *Rules, m *message) bool {
	_, err := codec.SnappyLen(m.data)
	return err != nil
}

func messageSize(_ *Rules, m *message) bool {
	_, err := codec.DecodedLen(m.data)
	return err != nil
}

func snappyBody(_ *Rules, m *message) (bad bool) {
	var err error
	m.body, err = codec.Decompress(m.data)
	return err != nil
}

func noSigner(r *Rules, _ *message) bool { return r.signers.Current() == codec.Address{} }

func badSignature(r *Rules, m *message) bool {
	sig, envelope := m.body[:codec.SignatureSize], m.body[codec.SignatureSize:]
	return !r.signers.Check(codec.SigningHash(r.cfg.ChainID, codec.PayloadHash(envelope)), sig)
}

// badPayload decodes, and makes the block of the chain's contract; where the
// time alone will have it refused, without the cost of its root.
func badPayload(r *Rules, m *message) bool {
	sig := m.body[:codec.SignatureSize]
	var err error
	if m.env, err = codec.DecodeEnvelope(m.body[codec.SignatureSize:], m.version); err != nil {
		return true
	}
	r.found.putSigned(m.env.BlockHash, sig)
	// The chain looks at the clock a moment later; the margin keeps both of one
	// mind at the edges of the window.
	const margin = 2 * time.Second
	at := codec.TimeOf(m.env.Time)
	if at.Before(m.now.Add(-r.cfg.MaxAge-margin)) || at.After(m.now.Add(MaxAhead+margin)) {
		m.block = m.env.Sketch(sig)
		return false
	}
	if m.block, err = m.env.Block(sig); err != nil {
		return true
	}
	if codec.HeaderHash(m.block.Header.Bytes) == m.env.BlockHash {
		r.found.putRooted(m.env.BlockHash, m.block.Body)
	}
	return false
}

func tooOld(r *Rules, m *message) bool {
	return m.block.Header.Time.Unix() < m.now.Unix()-int64(r.cfg.MaxAge/time.Second)
}

func fromTheFuture(_ *Rules, m *message) bool {
	return m.block.Header.Time.Unix() > m.now.Unix()+int64(MaxAhead/time.Second)
}

func hashMismatch(r *Rules, m *message) bool {
	b := m.block
	if r.found.rooted(b.Header.Ref.Hash, b.Body) {
		e, _, err := codec.ParseHeader(b.Header.Bytes)
		m.env = e
		return err != nil || !codec.Describes(e, b.Header)
	}
	if !codec.CheckHash(b) {
		return true
	}
	m.env, _, _ = codec.ParseHeader(b.Header.Bytes) // CheckHash has parsed it
	r.found.putRooted(b.Header.Ref.Hash, b.Body)
	return false
}

func withWithdrawals(_ *Rules, m *message) bool {
	v := m.env.Version
	return len(m.block.Extra) > codec.SignatureSize || (v == codec.V2 || v == codec.V3) && m.env.WithdrawalsRoot != codec.EmptyRoot
}

func earlyBlobFields(_ *Rules, m *message) bool {
	return m.env.Version < codec.V3 && (m.env.BlobGasUsed != 0 || m.env.ExcessBlobGas != 0)
}

func blobGasUsed(r *Rules, m *message) bool {
	jovian := r.cfg.Forks.Jovian != Never && m.env.Time >= r.cfg.Forks.Jovian
	return m.env.BlobGasUsed != 0 && !jovian
}

func excessBlobGas(_ *Rules, m *message) bool { return m.env.ExcessBlobGas != 0 }

// rootsMissing: a header with a version has that version's roots, and what a
// V4 has with an empty withdrawals root is encoded as a V3, so that nobody
// could read it: op-node would not have decoded it either.
func rootsMissing(_ *Rules, m *message) bool {
	return m.env.Version == codec.V4 && m.env.WithdrawalsRoot == codec.EmptyRoot
}

func heightFull(r *Rules, m *message) bool {
	ref := m.block.Ref()
	var twice bool
	m.tooMany, m.known, twice = r.seen.note(m.env.Version, ref)
	if twice {
		r.cfg.Logger.Warn("opstack: the sequencer signed two blocks of one height", "height", ref.Number, "hash", ref.Hash.String())
	}
	return m.tooMany
}

func seenBefore(_ *Rules, m *message) bool { return m.known }
