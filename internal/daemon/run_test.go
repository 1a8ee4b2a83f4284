package daemon

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/peer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, spared()...)
}

// spared are the goroutines that may outlast a node: they end by themselves.
func spared() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/starlingp2p/starling/ledger/ethereum.(*Pool).Warm"),
	}
}

// limit ends a test that hangs; no result depends on it.
const limit = 3 * time.Minute

// newConfig makes the datadir of a sequencer.
func newConfig(t *testing.T) Config {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	dir := filepath.Join(t.TempDir(), "n")
	if err := Init(dir, Config{ConfigVersion: ConfigVersion, Networks: []Network{{
		Name: "test", Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, AllowPrivate: true,
		Sequenced: Sequenced{
			Sequencer: hex.EncodeToString(key.Public().(ed25519.PublicKey)), GenesisTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			BlockInterval: Duration(20 * time.Millisecond),
		},
	}}}, key); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(filepath.Join(dir, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// A node that is told to stop leaves no goroutine, no socket and no lock, and
// comes back with what it had. Threat row S-10.
func TestRunLeavesNothingBehindAndComesBack(t *testing.T) {
	cfg := newConfig(t)
	var acked uint64
	for range 2 {
		ctx, stop := context.WithTimeout(t.Context(), limit)
		before := acked
		var first Event
		err := Run(ctx, cfg, Output{OnEvent: func(ev Event) {
			switch ev.Event {
			case EventReady:
				first = ev
			case EventHead:
				if acked = ev.Number; acked >= before+5 {
					stop()
				}
			}
		}})
		stop()
		if err != nil {
			t.Fatal(err)
		}
		if first.Event != EventReady || first.Number < before {
			t.Errorf("ready with %+v, want block %d at least", first, before)
		}
		if _, err := os.Lstat(SocketPath(cfg.Datadir)); !os.IsNotExist(err) {
			t.Errorf("the socket is there yet: %v", err)
		}
		goleak.VerifyNone(t, spared()...)
	}
}

// A start that fails closes what was opened: every kind of failure, and then
// the datadir can be used.
func TestAStartThatFailsLeavesNothingHeld(t *testing.T) {
	cfg := newConfig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, spoil := range map[string]func(*Network){
		"port":    func(n *Network) { n.Listen = []string{"/ip4/127.0.0.1/tcp/" + portOf(taken)} },
		"genesis": func(n *Network) { n.Sequenced.GenesisTime = n.Sequenced.GenesisTime.Add(time.Hour) },
		"key":     func(n *Network) { n.Sequenced.ProduceKey = "keys/nothing.key" },
		"node":    func(n *Network) { n.KeyFile = "config.toml" },
	} {
		t.Run(name, func(t *testing.T) {
			spoiled := cfg
			spoiled.Networks = []Network{cfg.Networks[0]}
			runShortly(t, cfg)
			spoil(&spoiled.Networks[0])
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			var start *StartError
			if err := Run(ctx, spoiled, Output{}); !errors.As(err, &start) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run gave %v, want a *StartError in one line", err)
			}
			runShortly(t, cfg)
			goleak.VerifyNone(t, spared()...)
		})
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// runShortly runs a node until it is ready.
func runShortly(t *testing.T, cfg Config) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	err := Run(ctx, cfg, Output{OnEvent: func(ev Event) {
		if ev.Event == EventReady {
			stop()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// running runs a node until the test ends, and gives a client of it.
func running(t *testing.T, cfg Config) *rpc.Client {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ready := make(chan struct{})
	tell := sync.OnceFunc(func() { close(ready) })
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, cfg, Output{OnEvent: func(ev Event) {
			if ev.Event == EventReady {
				tell()
			}
		}})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("Run ended: %v", err)
	}
	c, err := rpc.Dial(t.Context(), SocketPath(cfg.Datadir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestBansAreMadeListedAndLiftedOverTheSocket(t *testing.T) {
	c := running(t, newConfig(t))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	const who = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"
	list := func() (bans []BanReply) {
		t.Helper()
		if err := c.Call(ctx, "starling_bans", &bans); err != nil {
			t.Fatal(err)
		}
		return bans
	}
	if bans := list(); bans == nil || len(bans) != 0 {
		t.Errorf("at first there are %v, want an empty list", bans)
	}
	if err := c.Call(ctx, "starling_ban", nil, who, 600, "because"); err != nil {
		t.Fatal(err)
	}
	if bans := list(); len(bans) != 1 || bans[0].Who != who || bans[0].Reason != "because" || bans[0].ByScore || time.Until(bans[0].Until) > 10*time.Minute {
		t.Errorf("after the ban there are %+v", bans)
	}
	if err := c.Call(ctx, "starling_unban", nil, who); err != nil {
		t.Fatal(err)
	}
	if bans := list(); len(bans) != 0 {
		t.Errorf("after it was lifted there are %+v", bans)
	}
	for name, params := range map[string][]any{
		"nobody":            {""},
		"no identity":       {"somebody"},
		"a cut identity":    {who[:40]},
		"no IP address":     {"300.2.3.4"},
		"a host and a port": {"192.0.2.1:4001"},
		"a long name":       {strings.Repeat("x", 200)},
		"a negative time":   {who, -1},
		"more than decades": {who, int64(1) << 40},
		"a long reason":     {who, 1, strings.Repeat("x", 300)},
		"a number for who":  {5},
	} {
		var own *rpc.Error
		if err := c.Call(ctx, "starling_ban", nil, params...); !errors.As(err, &own) || own.Code != rpc.CodeBadParams {
			t.Errorf("%s: %v, want code %d", name, err, rpc.CodeBadParams)
		}
	}
	if bans := list(); len(bans) != 0 {
		t.Errorf("refused bans are there: %+v", bans)
	}
}

// Methods refuse parameters that make no sense, and tell of what is not there.
func TestMethodsRefuseNonsense(t *testing.T) {
	c := running(t, newConfig(t))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for _, tt := range []struct {
		method string
		params []any
		code   int
	}{
		{"starling_block", []any{"x"}, rpc.CodeBadParams},
		{"starling_block", []any{1 << 40}, rpc.CodeFailed},
		{"starling_transaction", []any{"zz"}, rpc.CodeBadParams},
		{"starling_connect", nil, rpc.CodeBadParams},
		{"starling_connect", []any{"hello"}, rpc.CodeFailed},
		{"starling_disconnect", []any{"nobody"}, rpc.CodeFailed},
		{"starling_sendTransactions", []any{[]string{"zz"}}, rpc.CodeBadParams},
	} {
		var own *rpc.Error
		if err := c.Call(ctx, tt.method, nil, tt.params...); !errors.As(err, &own) || own.Code != tt.code {
			t.Errorf("%s%v: %v, want code %d", tt.method, tt.params, err, tt.code)
		}
	}
	var verdicts []TxReply
	if err := c.Call(ctx, "starling_sendTransactions", &verdicts, []string{"00", ""}); err != nil || len(verdicts) != 2 || verdicts[0].Verdict != "reject" {
		t.Errorf("nonsense as transactions: %+v, %v", verdicts, err)
	}
	var none *string
	if err := c.Call(ctx, "starling_transaction", &none, strings.Repeat("00", 32)); err != nil || none != nil {
		t.Errorf("an unknown transaction: %v, %v, want null", none, err)
	}
}

// A ban of what is nobody's identity would keep nobody away.
func TestIdentitiesAreThoseOfTheWire(t *testing.T) {
	const p2p = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"
	const enode = "3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0"
	for _, tt := range []struct {
		wire, id string
		good     bool
	}{
		{"native", p2p, true},
		{"opstack", p2p, true},
		{"devp2p", enode, true},
		{"ontology", "00000000deadbeef", true},
		{"native", enode, false},
		{"devp2p", p2p, false},
		{"devp2p", enode[:126], false},
		{"ontology", "300.2.3.4", false},
		{"native", p2p + "/", false},
	} {
		got, err := identity(tt.wire, peer.ID(tt.id))
		if (err == nil) != tt.good || tt.good && string(got) != tt.id {
			t.Errorf("%s of %s gave %q, %v", tt.id, tt.wire, got, err)
		}
	}
}
