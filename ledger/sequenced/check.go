package sequenced

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// How far a gossiped block's time may be from ours.
const (
	maxAhead = 5 * time.Second
	maxAge   = 60 * time.Second
)

// candidate is a gossiped block under check; a check may leave what it decoded
// to those behind it.
type candidate struct {
	b   chain.Block
	h   header
	now time.Time
}

// check is a named rule. The zero Verdict passes the block on to the next.
type check struct {
	name string
	rule func(*Family, *candidate) (chain.Verdict, bool)
}

// gossipChecks are the rules for a block that was gossiped, cheapest first.
func gossipChecks() []check {
	return []check{
		{"size", checkSize},
		{"header", checkHeader},
		{"network", checkNetwork},
		{"hash", checkHash},
		{"signer-known", checkSignerKnown},
		{"time", checkTime},
		{"body-size", checkBodySize},
		{"signature", checkSignature},
		{"root", checkRoot},
		{"signed-twice", checkSignedTwice},
	}
}

// Check implements chain.Checker. It reads the wall clock, and remembers what
// the sequencer signed at recent heights.
func (f *Family) Check(b chain.Block) chain.Verdict {
	c := &candidate{b: b, now: f.c.Wall.Now()}
	for _, k := range gossipChecks() {
		if v, done := k.rule(f, c); done {
			return v
		}
	}
	return chain.Accepted()
}

func pass() (chain.Verdict, bool)                { return chain.Verdict{}, false }
func fail(v chain.Verdict) (chain.Verdict, bool) { return v, true }
func reject(reason string) (chain.Verdict, bool) { return chain.Rejected(reason), true }
func rejectIf(bad bool, r string) (chain.Verdict, bool) {
	if bad {
		return reject(r)
	}
	return pass()
}

func checkSize(f *Family, c *candidate) (chain.Verdict, bool) {
	if len(c.b.Extra) != 0 {
		return reject("extra-not-empty")
	}
	return rejectIf(c.b.Size() > f.c.MaxBlockBytes, "too-large")
}

func checkHeader(f *Family, c *candidate) (chain.Verdict, bool) {
	if n := len(c.b.Header.Bytes); n > 0 && c.b.Header.Bytes[0] != headerVersion {
		return reject("unknown-version")
	}
	h, err := decodeHeader(c.b.Header.Bytes)
	c.h = h
	return rejectIf(err != nil, "bad-header")
}

func checkNetwork(f *Family, c *candidate) (chain.Verdict, bool) {
	return rejectIf(c.h.chain != f.id, "wrong-network")
}

func checkHash(f *Family, c *candidate) (chain.Verdict, bool) {
	d := c.h.chainHeader(c.b.Header.Bytes)
	return rejectIf(d.Ref != c.b.Header.Ref || d.Parent != c.b.Header.Parent || !d.Time.Equal(c.b.Header.Time), "hash-mismatch")
}

func checkSignerKnown(f *Family, c *candidate) (chain.Verdict, bool) {
	if len(f.c.SequencerKey) == 0 {
		return fail(chain.Ignored("no-signer"))
	}
	return pass()
}

func checkTime(f *Family, c *candidate) (chain.Verdict, bool) {
	switch at := c.h.time(); {
	case at.After(c.now.Add(maxAhead)):
		v := chain.RejectedAt(peer.Low, "from-the-future")
		v.Clock = true
		return fail(v)
	case at.Before(c.now.Add(-maxAge)):
		// Late relays are honest: it costs nothing.
		v := chain.RejectedAt(peer.None, "too-old")
		v.Clock = true
		return fail(v)
	}
	return pass()
}

func checkBodySize(f *Family, c *candidate) (chain.Verdict, bool) {
	return rejectIf(int64(c.h.bodyBytes) != int64(len(c.b.Body)), "body-size-mismatch")
}

func checkSignature(f *Family, c *candidate) (chain.Verdict, bool) {
	return rejectIf(f.verifySignature(c.b.Header.Bytes, c.h) != nil, "bad-signature")
}

func checkRoot(f *Family, c *candidate) (chain.Verdict, bool) {
	raw, err := splitBody(c.b.Body, c.h.txs)
	if err != nil {
		return reject("bad-body")
	}
	hashes := make([]chain.Hash, len(raw))
	for i, r := range raw {
		hashes[i] = txHash(unsigned(r), r)
	}
	return rejectIf(merkleRoot(hashes) != c.h.root, "root-mismatch")
}

func checkSignedTwice(f *Family, c *candidate) (chain.Verdict, bool) {
	n, first := f.seen.note(c.b.Ref())
	if first {
		f.c.Logger.Error("sequenced: the sequencer signed two blocks of one height", "height", c.h.number, "hash", c.b.Header.Ref.Hash.String())
	}
	if n > maxPerHeight {
		// Its relay may have seen fewer of them than we did.
		return fail(chain.RejectedAt(peer.Low, "signed-too-often"))
	}
	return pass()
}

const (
	// maxPerHeight is how many distinct blocks of one height are relayed, as
	// op-node does: five more after the first.
	maxPerHeight = 6
	// heightsKept bounds the memory of what was signed.
	heightsKept = 1024
	// evidenceKept bounds the evidence; the first pieces stay.
	evidenceKept = 64
)

// Evidence is a height at which the sequencer signed several blocks.
type Evidence struct {
	Height uint64
	Hashes []chain.Hash // at most seven, in the order of arrival
}

// signedTwice remembers the hashes signed at recent heights. Only signed blocks
// enter, so no peer but the sequencer can push others out.
type signedTwice struct {
	mu   sync.Mutex
	at   map[uint64][]chain.Hash
	ring []uint64 // heights by arrival
	next int
}

func newSignedTwice() *signedTwice { return &signedTwice{at: map[uint64][]chain.Hash{}} }

// note gives the place of a block among those of its height, from 1, and
// whether it is the first proof against the sequencer for that height.
func (s *signedTwice) note(r chain.Ref) (n int, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hs := s.at[r.Number]
	for i, h := range hs {
		if h == r.Hash {
			return i + 1, false
		}
	}
	if len(hs) == 0 {
		if len(s.ring) < heightsKept {
			s.ring = append(s.ring, r.Number)
		} else {
			delete(s.at, s.ring[s.next])
			s.ring[s.next] = r.Number
			s.next = (s.next + 1) % heightsKept
		}
	}
	if len(hs) > maxPerHeight {
		return len(hs) + 1, false
	}
	s.at[r.Number] = append(hs, r.Hash)
	return len(hs) + 1, len(hs) == 1
}

// Evidence lists the recent heights at which the sequencer signed several
// blocks, by arrival.
func (f *Family) Evidence() []Evidence {
	f.seen.mu.Lock()
	defer f.seen.mu.Unlock()
	var out []Evidence
	for i := range f.seen.ring {
		n := f.seen.ring[(f.seen.next+i)%len(f.seen.ring)]
		if hs := f.seen.at[n]; len(hs) > 1 && len(out) < evidenceKept {
			out = append(out, Evidence{n, append([]chain.Hash(nil), hs...)})
		}
	}
	return out
}
