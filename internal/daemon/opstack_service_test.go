package daemon

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
)

const (
	opKey     = "00000000000000000000000000000000000000000000000000000000000a11ce"
	opAccount = "0xe05fcC23807536bEe418f142D19fa0d21BB0cfF7"
)

// producing turns a config into that of the node with the key, of a chain that began
// some blocks ago.
func producing(t *testing.T) func(*Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sequencer.key")
	if err := os.WriteFile(file, []byte("0x"+opKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	began := uint64(time.Now().Unix()) - 3
	return func(c *Config) {
		o := &c.Networks[0].OPStack
		o.BlockTime, o.GenesisTime, o.Forks, o.Sequencer, o.SequencerKey = Duration(time.Second), began, map[string]uint64{"isthmus": 0}, "", file
	}
}

// reaches waits until a node's head has a number of at least least.
func (s *served) reaches(t *testing.T, least uint64) BlockName {
	t.Helper()
	ctx := inTime(t)
	events := s.node.node.Client().Subscribe(ctx, 0)
	for {
		if head := s.node.Status().Head; head.Number >= least {
			return head
		}
		for {
			ev, ok := <-events.C()
			if !ok {
				t.Fatalf("the head is %v, want %d", s.node.Status().Head, least)
			}
			if _, ok := ev.(starling.HeadChanged); ok {
				break
			}
		}
	}
}

// The followers are told by nobody but a file, or L1, who the sequencer is.
func TestOPPrivateChainIsMadeAndFollowed(t *testing.T) {
	l1 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(io.LimitReader(r.Body, 4096))
		result := "0x10"
		if strings.Contains(string(raw), "eth_getStorageAt") {
			result = "0x" + strings.Repeat("0", 24) + strings.ToLower(opAccount[2:])
		}
		json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "result": result})
	}))
	t.Cleanup(l1.Close)
	file := filepath.Join(t.TempDir(), "sequencer.txt")
	if err := os.WriteFile(file, []byte(opAccount+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	produce := producing(t)
	maker := serveOP(t, produce)
	maker.reaches(t, 2) // with nobody there to hear of it

	for name, source := range map[string]func(*OPStack){
		"file": func(o *OPStack) { o.SequencerFile = file },
		"l1": func(o *OPStack) {
			o.L1, o.SystemConfig, o.L1Depth = l1.URL, "0x00000000000000000000000000000000000000aa", 4
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveOP(t, produce, func(c *Config) {
				c.Networks[0].Static = maker.ready.Addrs
				c.Networks[0].OPStack.SequencerKey = ""
				source(&c.Networks[0].OPStack)
			})
			s.reaches(t, maker.node.Status().Head.Number+1)
		})
	}
}

func TestOPSequencersKeyMustBeTheNetworks(t *testing.T) {
	open := func(change func(*Config)) error {
		cfg, err := ParseConfig([]byte(opConfig))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Datadir = t.TempDir()
		producing(t)(&cfg)
		change(&cfg)
		n, err := Open(cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			n.Close()
		}
		return err
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"another's": {func(c *Config) { c.Networks[0].OPStack.Sequencer = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A" }, "not of the sequencer 0x19"},
		"missing":   {func(c *Config) { c.Networks[0].OPStack.SequencerKey = "keys/none" }, "restore it"},
		"for all to read": {func(c *Config) {
			if err := os.Chmod(c.Networks[0].OPStack.SequencerKey, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod 600"},
		"no key": {func(c *Config) {
			if err := os.WriteFile(c.Networks[0].OPStack.SequencerKey, []byte("key"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "64 hex digits"},
	} {
		if err := open(tt.change); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if err := open(func(c *Config) { c.Networks[0].OPStack.Sequencer = opAccount }); err != nil {
		t.Error(err)
	}
}
