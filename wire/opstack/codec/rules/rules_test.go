package rules_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

const chainID = 901

func key(t testing.TB, n int) codec.Key {
	t.Helper()
	k, err := codec.ParseKey(fmt.Sprintf("%064x", n))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// wall is a clock that stands at a whole second.
type wall struct{ at time.Time }

func (w *wall) Now() time.Time { return w.at }

var _ env.Wall = (*wall)(nil)

// lab is a network with a sequencer.
type lab struct {
	t     *testing.T
	rules *rules.Rules
	wall  *wall
	key   codec.Key
}

func newLab(t *testing.T, change func(*rules.Config)) *lab {
	t.Helper()
	l := &lab{t: t, wall: &wall{time.Unix(1_700_000_000, 0)}, key: key(t, 1)}
	cfg := rules.Config{ChainID: chainID, BlockTime: 2 * time.Second, GenesisTime: 1_699_000_000, Signer: l.key.Address(), Wall: l.wall}
	if change != nil {
		change(&cfg)
	}
	var err error
	if l.rules, err = rules.New(cfg); err != nil {
		t.Fatal(err)
	}
	return l
}

// made is a good block of a version, made now, with hooks before and after its
// hash is computed.
func (l *lab) made(v codec.Version, before, after func(*codec.Envelope)) *codec.Envelope {
	l.t.Helper()
	d := codec.Draft{Version: v, Parent: chain.Ref{Number: 9, Hash: chain.Hash{9}}, Time: uint64(l.wall.at.Unix()), Txs: [][]byte{{1, 2, 3}, {4}}}
	e, err := d.Envelope()
	if err != nil {
		l.t.Fatal(err)
	}
	if before != nil {
		before(e)
		root, err := codec.TxRoot(e.Txs)
		if err != nil {
			l.t.Fatal(err)
		}
		e.BlockHash = codec.HeaderHash(codec.AppendHeader(nil, e, root))
	}
	if after != nil {
		after(e)
	}
	return e
}

func (l *lab) message(e *codec.Envelope) []byte {
	l.t.Helper()
	sig, err := l.key.SignEnvelope(chainID, e)
	if err != nil {
		l.t.Fatal(err)
	}
	return codec.Compress(codec.Message(sig, e))
}

// all runs a message through the whole table and gives the name of the check
// that it broke, empty if none.
func (l *lab) all(v codec.Version, data []byte) string {
	l.t.Helper()
	if why := l.judge(v, data); why != nil {
		return why.Name
	}
	return ""
}

func (l *lab) judge(v codec.Version, data []byte) *rules.Check {
	body, why := l.rules.Unpack(data)
	if why != nil {
		return why
	}
	b, why := l.rules.Receive(v, body)
	if why != nil {
		return why
	}
	return l.rules.Judge(b)
}

func at(s int64) func(*codec.Envelope) {
	return func(e *codec.Envelope) { e.Time = uint64(int64(e.Time) + s) }
}

// Threat G-08: each rule of op-node is a row with its own reason.
// Threat G-03: a block of the future costs little and rests on the clock.
// Threat G-04: a late block costs its relay nothing.
// Threat G-02: a signature for another chain is none.
func TestEachRowOfTheTable(t *testing.T) {
	flip := func(data []byte) []byte { // a byte of the signature
		body, err := codec.Decompress(data)
		if err != nil {
			t.Fatal(err)
		}
		body[3] ^= 1
		return codec.Compress(body)
	}
	l := newLab(t, func(c *rules.Config) { c.Forks.Jovian = rules.Never })
	other := func(e *codec.Envelope) []byte {
		sig, err := l.key.SignEnvelope(chainID+1, e)
		if err != nil {
			t.Fatal(err)
		}
		return codec.Compress(codec.Message(sig, e))
	}
	for _, tt := range []struct {
		name  string
		topic codec.Version
		data  []byte
		want  string
		sev   peer.Severity
	}{
		{"nothing", codec.V1, nil, "snappy-header", peer.Fatal},
		{"no length", codec.V1, bytes.Repeat([]byte{0xff}, 20), "snappy-header", peer.Fatal},
		{"65 bytes", codec.V1, codec.Compress(make([]byte, 65)), "size", peer.Fatal},
		{"10 MiB and one", codec.V1, codec.Compress(make([]byte, codec.MaxMessage+1)), "size", peer.Fatal},
		{"a claim of 4 GiB", codec.V1, binary.AppendUvarint(nil, 1<<32-1), "size", peer.Fatal},
		{"cut", codec.V1, l.message(l.made(codec.V1, nil, nil))[:80], "snappy", peer.Fatal},
		{"flipped signature", codec.V4, flip(l.message(l.made(codec.V4, nil, nil))), "bad-signature", peer.High},
		{"another chain's", codec.V4, other(l.made(codec.V4, nil, nil)), "bad-signature", peer.High},
		{"another topic's", codec.V3, l.message(l.made(codec.V4, nil, nil)), "bad-payload", peer.Fatal},
		{"61 s old", codec.V4, l.message(l.made(codec.V4, at(-61), nil)), "too-old", peer.None},
		{"an hour old", codec.V4, l.message(l.made(codec.V4, at(-3600), nil)), "too-old", peer.None},
		{"6 s ahead", codec.V4, l.message(l.made(codec.V4, at(6), nil)), "from-the-future", peer.Low},
		{"an age ahead", codec.V4, l.message(l.made(codec.V4, func(e *codec.Envelope) { e.Time = 1<<64 - 1 }, nil)), "from-the-future", peer.Low},
		{"old with a wrong hash", codec.V4, l.message(l.made(codec.V4, at(-61), func(e *codec.Envelope) { e.BlockHash[0]++ })), "too-old", peer.None},
		{"wrong hash", codec.V4, l.message(l.made(codec.V4, nil, func(e *codec.Envelope) { e.BlockHash[0]++ })), "hash-mismatch", peer.High},
		{"wrong field", codec.V2, l.message(l.made(codec.V2, nil, func(e *codec.Envelope) { e.GasUsed++ })), "hash-mismatch", peer.High},
		{"withdrawals in V2", codec.V2, l.message(l.made(codec.V2, func(e *codec.Envelope) { e.Withdrawals = make([]byte, 44) }, nil)), "withdrawals", peer.High},
		{"withdrawals in V3", codec.V3, l.message(l.made(codec.V3, func(e *codec.Envelope) { e.Withdrawals = make([]byte, 88) }, nil)), "withdrawals", peer.High},
		{"withdrawals in V4", codec.V4, l.message(l.made(codec.V4, nil, func(e *codec.Envelope) { e.Withdrawals = make([]byte, 44) })), "withdrawals", peer.High},
		{"blob gas in V3", codec.V3, l.message(l.made(codec.V3, func(e *codec.Envelope) { e.BlobGasUsed = 1 }, nil)), "blob-gas-used", peer.High},
		{"excess blob gas in V4", codec.V4, l.message(l.made(codec.V4, func(e *codec.Envelope) { e.ExcessBlobGas = 1 }, nil)), "excess-blob-gas", peer.High},
		{"60 s old", codec.V4, l.message(l.made(codec.V4, at(-60), nil)), "", 0},
		{"5 s ahead", codec.V4, l.message(l.made(codec.V4, at(5), nil)), "", 0},
		{"good V1", codec.V1, l.message(l.made(codec.V1, nil, nil)), "", 0},
		{"good V2", codec.V2, l.message(l.made(codec.V2, nil, nil)), "", 0},
		{"good V3", codec.V3, l.message(l.made(codec.V3, nil, nil)), "", 0},
		{"good V4", codec.V4, l.message(l.made(codec.V4, nil, nil)), "", 0},
		{"good V4 again", codec.V4, l.message(l.made(codec.V4, nil, nil)), "seen", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			why := l.judge(tt.topic, tt.data)
			if why == nil {
				if tt.want != "" {
					t.Fatalf("accepted, want %s", tt.want)
				}
				return
			}
			if why.Name != tt.want {
				t.Fatalf("%s, want %q", why.Name, tt.want)
			}
			v := why.Verdict
			if v.Reason != why.Name || v.Severity != tt.sev || why.Why == "" {
				t.Errorf("verdict %+v (%s), want reason %s and severity %v", v, why.Why, tt.want, tt.sev)
			}
			if clock := tt.want == "too-old" || tt.want == "from-the-future"; v.Clock != clock {
				t.Errorf("Clock = %v, want %v", v.Clock, clock)
			}
			if want := chain.Reject; tt.want != "seen" && v.Action != want {
				t.Errorf("%v, want a rejection", v)
			}
		})
	}
}

// From Jovian on blob gas may be used.
func TestJovianAllowsBlobGas(t *testing.T) {
	l := newLab(t, nil)
	if got := l.all(codec.V4, l.message(l.made(codec.V4, func(e *codec.Envelope) { e.BlobGasUsed = 1 << 40 }, nil))); got != "" {
		t.Errorf("broken: %s", got)
	}
}

// Threat G-10: without a signer blocks are ignored, at nobody's cost.
func TestWithoutASignerBlocksAreIgnored(t *testing.T) {
	l := newLab(t, func(c *rules.Config) { c.Signer = codec.Address{} })
	why := l.judge(codec.V4, l.message(l.made(codec.V4, nil, nil)))
	if why == nil || why.Name != "no-signer" || why.Verdict.Action != chain.Ignore || why.Verdict.Severity != peer.None {
		t.Errorf("%+v, want no-signer and no charge", why)
	}
}

// Threat G-09: the signer before counts for three hours, or until the new one
// has signed.
func TestSignerRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, nil)
		n := uint64(100)
		signedBy := func(k codec.Key) string {
			l.key = k
			n++
			return l.all(codec.V4, l.message(l.made(codec.V4, func(e *codec.Envelope) { e.Number = n }, nil)))
		}
		old, next, third := key(t, 1), key(t, 2), key(t, 3)
		if got := signedBy(next); got != "bad-signature" {
			t.Errorf("before the rotation: %q", got)
		}
		if !l.rules.Signers().Set(next.Address()) || l.rules.Signers().Set(next.Address()) {
			t.Error("Set does not tell changes from repeats")
		}
		time.Sleep(rules.Grace - time.Second)
		if got := signedBy(old); got != "" {
			t.Errorf("the old one within its grace: %q", got)
		}
		time.Sleep(2 * time.Second)
		if got := signedBy(old); got != "bad-signature" {
			t.Errorf("the old one after its grace: %q", got)
		}
		l.rules.Signers().Set(third.Address())
		if got := signedBy(next); got != "" {
			t.Errorf("the second within its grace: %q", got)
		}
		if got := signedBy(third); got != "" {
			t.Errorf("the third: %q", got)
		}
		if got := signedBy(next); got != "bad-signature" {
			t.Errorf("the second after the third has signed: %q", got)
		}
	})
}

// Threat G-07: six blocks of one height are relayed; then even a repeat is
// rejected, at a low cost.
func TestSixBlocksOfAHeight(t *testing.T) {
	l := newLab(t, nil)
	var first []byte
	for i := range 6 {
		m := l.message(l.made(codec.V4, func(e *codec.Envelope) { e.GasUsed = uint64(i) }, nil))
		if got := l.all(codec.V4, m); got != "" {
			t.Fatalf("block %d: %s", i+1, got)
		}
		if first == nil {
			first = m
			if got := l.all(codec.V4, m); got != "seen" {
				t.Errorf("a repeat: %q, want seen", got)
			}
		}
	}
	seventh := l.judge(codec.V4, l.message(l.made(codec.V4, func(e *codec.Envelope) { e.GasUsed = 7 }, nil)))
	if seventh == nil || seventh.Name != "height-full" || seventh.Verdict.Severity != peer.Low {
		t.Errorf("the seventh: %+v, want height-full at a low cost", seventh)
	}
	if got := l.all(codec.V4, first); got != "height-full" {
		t.Errorf("a repeat after six: %q, want height-full", got)
	}
	if got := l.all(codec.V3, l.message(l.made(codec.V3, nil, nil))); got != "" {
		t.Errorf("the same height in another topic: %q", got)
	}
	ev := l.rules.Evidence()
	if len(ev) != 1 || ev[0].Height != 10 || len(ev[0].Hashes) != 6 {
		t.Errorf("Evidence = %+v", ev)
	}
}

func TestAThousandHeightsAreRemembered(t *testing.T) {
	l := newLab(t, nil)
	at := func(n uint64) []byte {
		return l.message(l.made(codec.V4, func(e *codec.Envelope) { e.Number = n }, nil))
	}
	first := at(1)
	for n := range uint64(rules.SeenHeights) {
		if got := l.all(codec.V4, at(n+1)); got != "" {
			t.Fatal(got)
		}
	}
	if got := l.all(codec.V4, first); got != "seen" {
		t.Errorf("the first of 1000: %q, want seen", got)
	}
}

// A block that did not come through Receive is judged whole.
func TestJudgeTrustsNobody(t *testing.T) {
	l := newLab(t, nil)
	e := l.made(codec.V4, nil, nil)
	sig, err := l.key.SignEnvelope(chainID, e)
	if err != nil {
		t.Fatal(err)
	}
	good, err := e.Block(sig)
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, change func(*chain.Block), want string) {
		b := good
		b.Body, b.Extra, b.Header.Bytes = bytes.Clone(b.Body), bytes.Clone(b.Extra), bytes.Clone(b.Header.Bytes)
		change(&b)
		why, got := l.rules.Judge(b), ""
		if why != nil {
			got = why.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	try("no signature", func(b *chain.Block) { b.Extra = nil }, "bad-signature")
	try("a wrong one", func(b *chain.Block) { b.Extra[0]++ }, "bad-signature")
	try("another body", func(b *chain.Block) { b.Body[len(b.Body)-1]++ }, "bad-signature")
	try("another header", func(b *chain.Block) { b.Header.Bytes[100]++ }, "bad-signature")
	try("good", func(*chain.Block) {}, "")
	try("another body, once the signature is known", func(b *chain.Block) { b.Body[len(b.Body)-1]++ }, "hash-mismatch")
	try("another header, once the signature is known", func(b *chain.Block) { b.Header.Bytes[100]++ }, "hash-mismatch")
	try("no header", func(b *chain.Block) { b.Header.Bytes = nil }, "hash-mismatch")
}

// Threat S-11: a window that outlives what is remembered is refused.
func TestConfigIsChecked(t *testing.T) {
	good := rules.Config{ChainID: 1, BlockTime: time.Second}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*rules.Config){
		"no chain":        func(c *rules.Config) { c.ChainID = 0 },
		"no pace":         func(c *rules.Config) { c.BlockTime = 0 },
		"half seconds":    func(c *rules.Config) { c.BlockTime = 1500 * time.Millisecond },
		"a long window":   func(c *rules.Config) { c.MaxAge = 1000 * time.Second },
		"forks reordered": func(c *rules.Config) { c.Forks = rules.Forks{Canyon: 2, Ecotone: 1} },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTheScheduleFollowsTheForks(t *testing.T) {
	c := rules.Config{ChainID: 1, BlockTime: 2 * time.Second, GenesisNumber: 100, GenesisTime: 1000, Forks: rules.Forks{Canyon: 1010, Ecotone: 1020, Isthmus: 1030, Jovian: rules.Never}}
	for n, want := range map[uint64]codec.Version{100: codec.V1, 104: codec.V1, 105: codec.V2, 109: codec.V2, 110: codec.V3, 115: codec.V4, 1 << 40: codec.V4} {
		at, ok := c.TimeAt(n)
		if got := c.VersionAt(at); !ok || got != want {
			t.Errorf("block %d at %d: %v, want %v", n, at, got, want)
		}
	}
	if _, ok := c.TimeAt(99); ok {
		t.Error("a time before the genesis")
	}
	if _, ok := c.TimeAt(1<<64 - 1); ok {
		t.Error("a time that cannot be counted")
	}
	if n, ok := c.Target(time.Unix(1005, 0)); n != 102 || !ok {
		t.Errorf("Target = %d, %v", n, ok)
	}
	if _, ok := c.Target(time.Unix(999, 0)); ok {
		t.Error("a target before the genesis")
	}
	if got := (rules.Config{Forks: rules.Forks{Canyon: rules.Never, Ecotone: rules.Never, Isthmus: rules.Never, Jovian: rules.Never}}).VersionAt(1<<64 - 1); got != codec.V1 {
		t.Errorf("without forks: %v", got)
	}
}

func BenchmarkValidation200Txs(b *testing.B) {
	k := key(b, 1)
	txs := make([][]byte, 200)
	for i := range txs {
		txs[i] = bytes.Repeat([]byte{byte(i + 1), 7, byte(i >> 8)}, 80)
	}
	now := time.Now()
	e, err := codec.Draft{Version: codec.V4, Time: uint64(now.Unix()), Txs: txs}.Envelope()
	if err != nil {
		b.Fatal(err)
	}
	sig, err := k.SignEnvelope(chainID, e)
	if err != nil {
		b.Fatal(err)
	}
	data := codec.Compress(codec.Message(sig, e))
	for b.Loop() {
		r, err := rules.New(rules.Config{ChainID: chainID, BlockTime: 2 * time.Second, Signer: k.Address(), Wall: &wall{now}})
		if err != nil {
			b.Fatal(err)
		}
		body, _ := r.Unpack(data)
		blk, why := r.Receive(codec.V4, body)
		if why == nil {
			why = r.Judge(blk)
		}
		if why != nil {
			b.Fatal(why.Name)
		}
	}
}
