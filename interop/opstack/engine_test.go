package opstack

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/ledger"
	fam "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// geth executes: a process of go-ethereum with its Engine API on loopback.
type geth struct {
	*steertest.Process[event]
	Engine string
	Hash   string `json:"genesis_hash"`
}

const (
	gethRelease = "1.17.10"
	gethFaucet  = "00000000000000000000000000000000000000000000000000000000000a11ce"
	engineKey   = "e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e17e"
)

// executable is a chain of blocks that geth can execute, since geth makes them:
// Ethereum's, after the Merge, with transfers, in the envelopes of the OP Stack.
// A block's version is that of its fork.
type executable struct {
	*network
	start map[string]any // what geth is told of it
	jwt   string
}

// newExecutable makes such a chain of count blocks after the genesis, one each
// pace seconds, the last of which is due at the end. versions are the numbers of
// the first blocks of V2, V3 and V4; none: never. With any but 0 the pace must be
// 10, which geth's maker of blocks has in mind when it looks for the fork.
func newExecutable(t *testing.T, count int, pace uint64, end time.Time, versions ...uint64) *executable {
	t.Helper()
	key, err := codec.ParseKey(signerKey)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{id: 90210, genesis: uint64(end.Unix()) - pace*uint64(count), version: codec.V1, key: key}
	x := &executable{network: n, jwt: filepath.Join(t.TempDir(), "jwt.hex"), start: map[string]any{
		"chain_id": n.id, "txs": 10, "faucet": gethFaucet, "genesis_time": n.genesis, "block_time": pace, "listen": ip() + ":0",
		"key": "00000000000000000000000000000000000000000000000000000000000beef1",
	}}
	if err := os.WriteFile(x.jwt, []byte("0x"+engineKey), 0o600); err != nil {
		t.Fatal(err)
	}
	names := [][2]string{{"shanghai", "canyon"}, {"cancun", "ecotone"}, {"prague", "isthmus"}}
	var forks []fam.Fork
	for i, first := range versions {
		at := n.genesis + first*pace
		x.start[names[i][0]] = at
		forks = append(forks, fam.Fork{Name: names[i][1], Time: at})
	}
	maker := x.geth(t, nil)
	hash, err := chain.ParseHash(maker.Hash)
	if err != nil {
		t.Fatal(err)
	}
	n.config = fam.Config{
		ChainID: n.id, BlockTime: time.Duration(pace) * time.Second, Forks: forks, Signer: key.Address(),
		Genesis: fam.Genesis{Number: 0, Hash: hash, Time: n.genesis},
	}
	n.blocks = make([]chain.Block, 1, count+1) // nobody has the first
	maker.Do(map[string]any{"do": "block", "number": count}, nil)
	for i := 1; i <= count; i++ {
		var b struct{ RLP string }
		maker.Do(map[string]any{"do": "block", "number": i}, &b)
		n.blocks = append(n.blocks, n.signed(t, envelopeOf(t, b.RLP)))
	}
	maker.Stop()
	return x
}

// envelopeOf is a block of Ethereum in an envelope of the OP Stack.
func envelopeOf(t *testing.T, text string) *codec.Envelope {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var b types.Block
	if err := rlp.DecodeBytes(raw, &b); err != nil {
		t.Fatal(err)
	}
	header, err := rlp.EncodeToBytes(b.Header())
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := codec.ParseHeader(header)
	if err != nil {
		t.Fatalf("geth's block %d: %v", b.NumberU64(), err)
	}
	var txs [][]byte
	for _, tx := range b.Transactions() {
		bin, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		txs = append(txs, bin)
	}
	e.Txs = codec.AppendTxs(nil, txs)
	if e.BlockHash != chain.Hash(b.Hash()) {
		t.Fatalf("geth's block %d has the hash %v, we compute %v", b.NumberU64(), b.Hash(), e.BlockHash)
	}
	return e
}

// geth starts one that has nothing but the genesis.
func (x *executable) geth(t *testing.T, more map[string]any) *geth {
	t.Helper()
	start := maps.Clone(x.start)
	maps.Copy(start, map[string]any{"jwt": x.jwt})
	maps.Copy(start, more)
	g := &geth{}
	g.Process = steertest.Run[event](t, "geth", peers.Get(t, "geth-"+gethRelease), 2*patience, start, g)
	return g
}

// reaches waits until geth has a block as its head.
func (g *geth) reaches(ref chain.Ref) {
	g.Until(fmt.Sprintf("block %v as geth's head", ref), func(e event) bool { return e.Event == "head" && e.Hash == ref.Hash.String() })
}

// TestGethExecutesWhatTheLedgerHas hands geth a ledger's blocks, V1 to V4, by its
// Engine API: it executes them in order and follows the head as it moves.
func TestGethExecutesWhatTheLedgerHas(t *testing.T) {
	count := 80
	if os.Getenv("STARLING_FULL") != "" {
		count = 1000
	}
	quarter := uint64(count / 4)
	x := newExecutable(t, count, 10, time.Now(), quarter, 2*quarter, 3*quarter)
	g := x.geth(t, nil)
	secret, err := jwt.ParseSecret(engineKey)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fam.New(x.config)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.TempDir(), ledger.Options{Family: f})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(t.Context(), x.blocks[1:count]); err != nil {
		t.Fatal(err)
	}
	e, err := fam.NewEngine(g.Engine, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	feeder, err := fam.NewFeeder(fam.FeederConfig{Engine: e, Chain: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	start := time.Now()
	go func() { done <- feeder.Run(ctx) }()
	g.reaches(x.blocks[count-1].Ref())
	took := time.Since(start)
	t.Logf("geth executed %d blocks of 10 transfers, V1 to V4, in %v: %.0f blocks/s", count-1, took.Round(time.Millisecond), float64(count-1)/took.Seconds())
	if _, err := l.Import(t.Context(), x.blocks[count:]); err != nil {
		t.Fatal(err)
	}
	start = time.Now()
	feeder.Wake()
	g.reaches(x.blocks[count].Ref())
	t.Logf("the next block is geth's head %v after it was imported here", time.Since(start).Round(time.Millisecond))
	cancel()
	<-done
	calls, _ := feeder.Counts()
	if calls[fam.FeedCall{Call: "payload", Result: "valid"}] < uint64(count) || calls[fam.FeedCall{Call: "payload", Result: "syncing"}] != 1 {
		t.Errorf("calls %v, state %+v", calls, feeder.State())
	}
}

// TestGethFollowsThroughADaemon is the whole way: a node gossips blocks, a
// starling process that has nothing hears the newest, fills the gap below it,
// and has geth follow by the Engine API. When geth is gone, "why" says so; when
// another one, which has nothing, is in its place, it is filled again.
func TestGethFollowsThroughADaemon(t *testing.T) {
	const ahead = 5
	count := 50
	if os.Getenv("STARLING_FULL") != "" {
		count = 300
	}
	// Or the chain grows old while they are built: nobody takes a block that is
	// older than a minute.
	peers.Get(t, "geth-"+gethRelease)
	peers.Program(t)
	x := newExecutable(t, count, blockTime, time.Now().Add(15*time.Second), 0, 0)
	server := x.follower(t, t.TempDir(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if _, err := server.ledger.Import(ctx, x.blocks[1:count+1-ahead]); err != nil {
		t.Fatal(err)
	}
	for server.client.Status().Addrs == nil {
		pause(t, 20*time.Millisecond)
	}
	port := map[string]any{"engine_port": steertest.Port(t)} // which another geth has later
	g := x.geth(t, port)
	d := x.daemon(t, fmt.Sprintf("static = [%q]\nno_discovery = true", server.client.Status().Addrs[0]), fmt.Sprintf("engine = %q\nengine_jwt = %q", g.Engine, x.jwt))
	if err := server.client.WaitForPeers(ctx, 1); err != nil {
		t.Fatal(err)
	}
	polls(t, "the daemon in the node's mesh", func() bool { return server.wire.Mesh(codec.V3) > 0 })
	publish := func(b chain.Block) {
		for time.Until(b.Header.Time) > 2*time.Second {
			pause(t, 100*time.Millisecond)
		}
		if err := server.client.SubmitBlock(ctx, b); err != nil {
			t.Fatal(err)
		}
	}
	first := x.blocks[count+1-ahead]
	publish(first)
	start := time.Now()
	g.reaches(first.Ref())
	t.Logf("geth is at block %d, %v after it was gossiped to a starling that had nothing", first.Ref().Number, time.Since(start).Round(time.Millisecond))
	for _, b := range x.blocks[count+2-ahead:] {
		publish(b)
		start := time.Now()
		g.reaches(b.Ref())
		t.Logf("block %d is geth's head %v after it was gossiped", b.Ref().Number, time.Since(start).Round(time.Millisecond))
	}
	head := x.blocks[count].Ref()

	g.Stop()
	whyUntil(ctx, t, d, func(why string) bool {
		return strings.Contains(why, `"engine:unreachable"`) && strings.Contains(why, "authrpc")
	})
	g = x.geth(t, port)
	start = time.Now()
	g.reaches(head)
	t.Logf("another geth, which had nothing, is at block %d after %v", head.Number, time.Since(start).Round(time.Millisecond))
	whyUntil(ctx, t, d, func(why string) bool { return !strings.Contains(why, `"engine:`) })
}

// whyUntil asks a starling why until the answer fits.
func whyUntil(ctx context.Context, t *testing.T, d *steertest.Starling, fits func(string) bool) {
	t.Helper()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.RPC, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"starling_why"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var why json.RawMessage
		err = json.NewDecoder(resp.Body).Decode(&why)
		resp.Body.Close()
		switch {
		case err != nil:
			t.Fatal(err)
		case fits(string(why)):
			return
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("why says %s", why)
		}
	}
}
