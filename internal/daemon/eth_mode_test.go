package daemon

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// Modes that geth had are refused by name, and others are.
func TestModesThatAreNotHereAreRefusedByName(t *testing.T) {
	for mode, want := range map[string]string{"full": "", "fast": "", "light": "les", "snap": "no state", "archive": `want "full" or "fast"`} {
		_, err := ParseConfig([]byte(ethConfig + "mode = \"" + mode + "\"\n"))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), "network.ethereum.mode is \""+mode+"\"") || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", mode, err, want)
		}
	}
}

// Receipts come in the mode fast where the ledger is empty; else the mode is
// full, and the log says so.
func TestFastBeginsWithAnEmptyLedger(t *testing.T) {
	genesis := chain.Ref{Hash: chain.Hash{1}}
	empty, begun := chain.Status{Genesis: genesis.Hash, Head: genesis}, chain.Status{Genesis: genesis.Hash, Head: chain.Ref{Number: 7, Hash: chain.Hash{7}}}
	for _, tt := range []struct {
		e      Ethereum
		st     chain.Status
		want   bool
		warned bool
	}{
		{Ethereum{}, empty, false, false},
		{Ethereum{Mode: "full"}, begun, false, false},
		{Ethereum{Mode: "fast"}, empty, true, false},
		{Ethereum{Mode: "fast"}, begun, false, true},
		{Ethereum{Mode: "fast", Receipts: true}, begun, true, false},
		{Ethereum{Receipts: true}, empty, true, false},
	} {
		var log bytes.Buffer
		if got := tt.e.withReceipts(tt.st, slog.New(slog.NewTextHandler(&log, nil))); got != tt.want || strings.Contains(log.String(), "level=WARN") != tt.warned {
			t.Errorf("mode %q, receipts %v, head %d: receipts are fetched: %v, log %q; want %v", tt.e.Mode, tt.e.Receipts, tt.st.Head.Number, got, log.String(), tt.want)
		}
	}
}

// A network of total difficulty can't be synced by versions that do not tell it.
func TestAModeWithoutAVersionIsAStartError(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Network)
		merged bool
		want   string
	}{
		{"none is left", func(n *Network) { n.Ethereum.Versions = []uint64{69, 70} }, false, "add 68"},
		{"none is left for fast", func(n *Network) { n.Ethereum.Versions, n.Ethereum.Mode = []uint64{69}, "fast" }, false, "the mode fast no version"},
		{"a target leads", func(n *Network) { n.Ethereum.Versions, n.Target = []uint64{69}, "7:0x"+strings.Repeat("11", 32) }, false, ""},
		{"one is", func(n *Network) { n.Ethereum.Versions = []uint64{68, 69} }, false, ""},
		{"all are", func(n *Network) { n.Ethereum.Versions = nil }, false, ""},
		{"after the Merge", func(n *Network) { n.Ethereum.Versions = []uint64{69} }, true, ""},
	} {
		cfg := newEthereum(t, func(c *Config) { tt.change(&c.Networks[0]) })
		if tt.merged {
			versions := slices.Clone(cfg.Networks[0].Ethereum.Versions)
			cfg = driven(t, func(c *Config) { c.Networks[0].Ethereum.Versions = versions })
		}
		n, err := Open(cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
