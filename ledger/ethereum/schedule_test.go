package ethereum

import (
	"bytes"
	"errors"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// The genesis block is stored, and a chain that begins with another is refused.
func TestAnotherGenesisIsRefused(t *testing.T) {
	w := generate(t, configs()["frontier"], 3)
	fs := vfs.NewMem()
	l, err := ledger.Open("chain", ledger.Options{Family: w.family, FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Import(t.Context(), w.blocks[1:]); err != nil {
		t.Fatal(err)
	}
	first, err := l.Block(t.Context(), chain.Ref{Number: 0})
	if err != nil || first.Ref() != w.blocks[0].Ref() || !bytes.Equal(first.Header.Bytes, w.blocks[0].Header.Bytes) {
		t.Errorf("stored genesis is %v, %v; want %v", first.Ref(), err, w.blocks[0].Ref())
	}
	l.Close()

	other, err := (&Genesis{Config: w.family.c.Chain, GasLimit: 1, Difficulty: big.NewInt(1)}).Block()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := New(Config{Network: "test", Chain: w.family.c.Chain, Genesis: other})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ledger.Open("chain", ledger.Options{Family: stranger, FS: fs})
	var ge *ledger.GenesisError
	if !errors.As(err, &ge) || ge.HaveGenesis != w.blocks[0].Ref().Hash || ge.WantGenesis != other.Ref().Hash {
		t.Errorf("Open with another genesis = %v, want a GenesisError that names both", err)
	}
}

// A schedule that changed below the head takes the chain back to the last block
// that both judge the same, with a warning that names the fork; one that changed
// above it takes nothing back.
func TestAChangedScheduleRewindsWithAWarning(t *testing.T) {
	old := configs()["all forks by block"]
	moved := func(change func(c *params.ChainConfig)) *params.ChainConfig {
		c := *old
		change(&c)
		return &c
	}
	at := func(n int64) *big.Int { return big.NewInt(n) }
	soon := uint64(1_700_000_000 + 10*26) // geth's blocks come every 10 s
	for _, tt := range []struct {
		name, rule string
		now        *params.ChainConfig
		extra      []uint64
		head       uint64
	}{
		{"unchanged", "", old, nil, 30},
		{"above the head", "", moved(func(c *params.ChainConfig) { c.ArrowGlacierBlock = at(31) }), nil, 30},
		{"a fork that was not known", "arrowglacier", moved(func(c *params.ChainConfig) { c.ArrowGlacierBlock = at(25) }), nil, 24},
		{"a fork that came earlier", "london", moved(func(c *params.ChainConfig) { c.LondonBlock = at(15) }), nil, 14},
		{"a fork that came later", "london", moved(func(c *params.ChainConfig) { c.LondonBlock = at(20) }), nil, 15},
		{"a fork by time", "shanghai", moved(func(c *params.ChainConfig) { c.ShanghaiTime = &soon }), nil, 25},
		{"an extra fork", "extra-22", old, []uint64{22}, 21},
		{"from the first block on", "eip150", moved(func(c *params.ChainConfig) { c.EIP150Block = at(2) }), nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := generate(t, old, 30)
			fs := vfs.NewMem()
			l, err := ledger.Open("chain", ledger.Options{Family: w.family, FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := l.Import(t.Context(), w.blocks[1:]); n != 30 {
				t.Fatalf("Import = %d, %v", n, err)
			}
			l.Close()
			family, err := New(Config{Network: "test", Chain: tt.now, ExtraForks: tt.extra, Genesis: w.blocks[0]})
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			l, err = ledger.Open("chain", ledger.Options{Family: family, FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if got := l.Status().Head; got != w.blocks[tt.head].Ref() {
				t.Errorf("head = %v, want %v", got, w.blocks[tt.head].Ref())
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (tt.rule != "") {
				t.Errorf("warned %v: %s", warned, log.String())
			}
			if !strings.Contains(log.String(), tt.rule) {
				t.Errorf("the warning does not name %s: %s", tt.rule, log.String())
			}
			if err := l.CheckInvariants(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
