package sequenced_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/sequenced"
	"github.com/starlingp2p/starling/peer"
)

var now = epoch.Add(time.Minute)

// sealed is a block with a transfer at a time.
func sealed(f *sequenced.Family, at time.Time) chain.Block {
	tx := sequenced.NewTransfer(f.Genesis(), key(2), 0, sequenced.AddressOf(key(3)), 1, 0)
	return f.Seal(key(1), chain.Header{Ref: chain.Ref{Number: 6, Hash: chain.Hash{6}}, Time: epoch}, at, []chain.Tx{tx})
}

// rewrite changes bytes of the header and fixes what the contract derives.
func rewrite(f *sequenced.Family, b chain.Block, change func(h []byte)) chain.Block {
	raw := bytes.Clone(b.Header.Bytes)
	change(raw)
	if h, err := f.DecodeHeader(raw); err == nil {
		b.Header = h
	} else {
		b.Header.Bytes = raw
	}
	return b
}

// Threats G-01 to G-04, G-08 and G-10: what a gossiped block gets, by rule.
func TestCheckGivesEachFaultItsVerdict(t *testing.T) {
	f := family(t)
	good := sealed(f, now)
	other := family(t, func(c *sequenced.Config) { c.Network = "other" })
	nobody := family(t, func(c *sequenced.Config) { c.SequencerKey = nil })
	clocked := func(v chain.Verdict) chain.Verdict { v.Clock = true; return v }
	for _, tt := range []struct {
		name string
		f    *sequenced.Family
		b    chain.Block
		want chain.Verdict
	}{
		{"valid", f, good, chain.Accepted()},
		{"G-01 flipped signature", f, rewrite(f, good, func(h []byte) { h[len(h)-1] ^= 1 }), chain.Rejected("bad-signature")},
		{"G-01 another key", f, f.Seal(key(9), chain.Header{Time: epoch}, now, nil), chain.Rejected("bad-signature")},
		{"G-01 changed number", f, rewrite(f, good, func(h []byte) { h[16]++ }), chain.Rejected("bad-signature")},
		{"G-02 other chain", f, sealed(other, now), chain.Rejected("wrong-network")},
		{"G-02 other chain, field changed", f, rewrite(f, sealed(other, now), func(h []byte) { copy(h[1:9], good.Header.Bytes[1:9]) }), chain.Rejected("bad-signature")},
		{"G-03 5 s ahead", f, sealed(f, now.Add(5*time.Second)), chain.Accepted()},
		{"G-03 more", f, sealed(f, now.Add(5001*time.Millisecond)), clocked(chain.RejectedAt(peer.Low, "from-the-future"))},
		{"G-04 60 s old", f, sealed(f, now.Add(-59999*time.Millisecond)), chain.Accepted()},
		{"G-04 older", family(t, func(c *sequenced.Config) { c.Wall = fixedWall{now.Add(time.Minute)} }), sealed(f, now.Add(-time.Millisecond)), clocked(chain.RejectedAt(peer.None, "too-old"))},
		{"G-08 hash", f, func() chain.Block { b := good; b.Header.Ref.Hash[0] ^= 1; return b }(), chain.Rejected("hash-mismatch")},
		{"G-08 number", f, func() chain.Block { b := good; b.Header.Ref.Number++; return b }(), chain.Rejected("hash-mismatch")},
		{"G-08 parent", f, func() chain.Block { b := good; b.Header.Parent[0]++; return b }(), chain.Rejected("hash-mismatch")},
		{"G-08 time", f, func() chain.Block { b := good; b.Header.Time = b.Header.Time.Add(1); return b }(), chain.Rejected("hash-mismatch")},
		{"G-08 version", f, rewrite(f, good, func(h []byte) { h[0] = 2 }), chain.Rejected("unknown-version")},
		{"G-08 short header", f, func() chain.Block { b := good; b.Header.Bytes = b.Header.Bytes[:160]; return b }(), chain.Rejected("bad-header")},
		{"G-08 no header", f, chain.Block{}, chain.Rejected("bad-header")},
		{"G-08 long header", f, func() chain.Block { b := good; b.Header.Bytes = append(bytes.Clone(b.Header.Bytes), 0); return b }(), chain.Rejected("bad-header")},
		{"extra", f, func() chain.Block { b := good; b.Extra = []byte{1}; return b }(), chain.Rejected("extra-not-empty")},
		{"body cut", f, func() chain.Block { b := good; b.Body = b.Body[:len(b.Body)-1]; return b }(), chain.Rejected("body-size-mismatch")},
		{"body changed", f, func() chain.Block { b := good; b.Body = flip(b.Body); return b }(), chain.Rejected("root-mismatch")},
		{"too large", family(t, func(c *sequenced.Config) { c.MaxBlockBytes = 1024 }), func() chain.Block { b := good; b.Body = make([]byte, 1000); return b }(), chain.Rejected("too-large")},
		{"G-10 no signer", nobody, sealed(nobody, now), chain.Ignored("no-signer")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.f.Check(tt.b); got != tt.want {
				t.Errorf("Check = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

// Threat G-07: six distinct blocks of a height are relayed, the seventh is not;
// its deliverer pays little, the operator is told once.
func TestSequencerThatSignsTwiceIsRelayedSixTimes(t *testing.T) {
	var log bytes.Buffer
	f := family(t, func(c *sequenced.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for i := range 20 {
		b := sealed(f, now.Add(time.Duration(i)*time.Millisecond))
		want := chain.Accepted()
		if i >= 6 {
			want = chain.RejectedAt(peer.Low, "signed-too-often")
		}
		for range 2 { // the same again is the same
			if got := f.Check(b); got != want {
				t.Fatalf("Check of block %d of a height = %v, want %v", i+1, got, want)
			}
		}
	}
	ev := f.Evidence()
	if len(ev) != 1 || ev[0].Height != 7 || len(ev[0].Hashes) != 7 {
		t.Errorf("Evidence = %+v, want seven hashes at height 7", ev)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d alarms, want 1: %s", n, log.String())
	}
}

// Threat G-07: the memory of what was signed is bounded.
func TestMemoryOfSignedHeightsIsBounded(t *testing.T) {
	f := family(t)
	for n := range uint64(3000) {
		for k := range 2 {
			b := f.Seal(key(1), chain.Header{Ref: chain.Ref{Number: n}, Time: epoch}, now.Add(time.Duration(k)*time.Millisecond), nil)
			if v := f.Check(b); v.Action != chain.Accept {
				t.Fatal(v)
			}
		}
	}
	if n := len(f.Evidence()); n > 64 {
		t.Errorf("%d pieces of evidence, want at most 64", n)
	}
}

// Threat G-02: a transaction counts on one chain only.
func TestTransactionOfAnotherChainIsInvalid(t *testing.T) {
	f := family(t)
	other := family(t, func(c *sequenced.Config) { c.Network = "other" })
	foreign := sequenced.NewTransfer(other.Genesis(), key(2), 0, sequenced.AddressOf(key(3)), 1, 0)
	forged := bytes.Clone(foreign.Bytes)
	g := f.Genesis()
	copy(forged[1:9], g[:8]) // the chain field is not what binds it
	parent := f.Spec().Genesis.Header
	for _, raw := range [][]byte{foreign.Bytes, forged} {
		tx := chain.Tx{Bytes: raw, Hash: hashOf(t, f, raw)}
		b := f.Seal(key(1), parent, now, []chain.Tx{tx})
		if err := f.VerifyBody(b.Header, b.Body, nil); err == nil {
			t.Errorf("VerifyBody took a transaction of another chain")
		}
	}
}

// hashOf computes a transaction's hash as the family does.
func hashOf(t testing.TB, f *sequenced.Family, raw []byte) chain.Hash {
	t.Helper()
	d := sha256.Sum256(raw[:len(raw)-ed25519.SignatureSize])
	b := append([]byte("starling sequenced transaction hash 1\n"), d[:]...)
	return sha256.Sum256(append(b, raw[len(raw)-ed25519.SignatureSize:]...))
}

func TestEveryParameterIsUnderTheGenesisHash(t *testing.T) {
	base := family(t).Genesis()
	for name, change := range map[string]func(*sequenced.Config){
		"network":  func(c *sequenced.Config) { c.Network = "x" },
		"key":      func(c *sequenced.Config) { c.SequencerKey = key(4).Public().(ed25519.PublicKey) },
		"time":     func(c *sequenced.Config) { c.GenesisTime = epoch.Add(time.Millisecond) },
		"interval": func(c *sequenced.Config) { c.BlockInterval = time.Minute },
		"alloc":    func(c *sequenced.Config) { c.Alloc[sequenced.AddressOf(key(2))]++ },
		"block":    func(c *sequenced.Config) { c.MaxBlockBytes = 4 << 20 },
		"tx":       func(c *sequenced.Config) { c.MaxTxBytes = 4096 },
	} {
		if family(t, change).Genesis() == base {
			t.Errorf("another %s gives the same genesis", name)
		}
	}
}

func TestConfigReportsAllThatIsWrong(t *testing.T) {
	_, err := sequenced.New(sequenced.Config{
		SequencerKey: make([]byte, 5), GenesisTime: time.Unix(-1, 0), BlockInterval: -1, MaxBlockBytes: 5, MaxTxBytes: 1,
		Alloc: map[sequenced.Address]uint64{{1}: 1 << 63, {2}: 1 << 63},
	})
	for _, want := range []string{"name", "5 bytes", "1970", "interval", "largest block is 5", "largest transaction is 1", "allocations"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want it to say %q", err, want)
		}
	}
}
