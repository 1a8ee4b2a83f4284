package opstack

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	fam "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// signerKey signs the blocks of test chains.
const signerKey = "00000000000000000000000000000000000000000000000000000000000a11ce"

// network is a test chain that op-node makes: block n is a function of it.
type network struct {
	id      uint64
	genesis uint64         // Unix seconds
	version codec.Version  // of recent blocks
	blocks  []chain.Block  // 0, 1, …; signed
	config  fam.Config     // as we are told
	params  map[string]any // as op-node is told
	key     codec.Key
}

// blockTime is the pace of test chains, in seconds.
const blockTime = 2

var lastIP atomic.Uint32

// ip is a loopback address of its own for each node.
func ip() string { return fmt.Sprintf("127.0.7.%d", lastIP.Add(1)+1) }

// newNetwork makes a chain of count blocks, the last of which is due now; its
// recent blocks are of a version.
func newNetwork(t *testing.T, v codec.Version, count, txs, txBytes int) *network {
	t.Helper()
	key, err := codec.ParseKey(signerKey)
	if err != nil {
		t.Fatal(err)
	}
	// Or the chain grows old while they are built: nobody takes a block that is
	// older than a minute.
	peers.Get(t, "opnode-"+newest)
	peers.Program(t)
	n := &network{id: 900 + uint64(v), genesis: uint64(time.Now().Unix()) - blockTime*uint64(count-1), version: v, key: key}
	n.params = map[string]any{
		"chain_id": n.id, "genesis_time": n.genesis, "block_time": blockTime,
		"signer_key": signerKey, "txs": txs, "tx_bytes": txBytes,
	}
	var forks []fam.Fork
	for i, name := range []string{"canyon", "ecotone", "isthmus"} {
		if v > codec.Version(i+1) {
			n.params[name] = 0
			forks = append(forks, fam.Fork{Name: name, Time: 0})
		}
	}
	maker := runOpNode(t, newest, n.start(map[string]any{"head": 0}))
	for i := range count {
		var b struct{ Hash, Envelope string }
		maker.Do(map[string]any{"do": "block", "number": i}, &b)
		raw, err := hex.DecodeString(b.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		e, err := codec.DecodeEnvelope(raw, v)
		if err != nil {
			t.Fatalf("op-node's block %d: %v", i, err)
		}
		blk := n.signed(t, e)
		if got := codec.HeaderHash(blk.Header.Bytes).String(); got != b.Hash || string(codec.AppendEnvelope(nil, e)) != string(raw) {
			t.Fatalf("op-node's block %d has the hash %s, we compute %s, or it encodes differently", i, b.Hash, got)
		}
		n.blocks = append(n.blocks, blk)
	}
	n.config = fam.Config{
		ChainID: n.id, BlockTime: blockTime * time.Second, Forks: forks, Signer: key.Address(),
		Genesis: fam.Genesis{Number: 0, Hash: n.blocks[0].Ref().Hash, Time: n.genesis},
	}
	return n
}

func (n *network) signed(t *testing.T, e *codec.Envelope) chain.Block {
	t.Helper()
	sig, err := n.key.SignEnvelope(n.id, e)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Block(sig)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// start is what op-node is told to be a node of the network.
func (n *network) start(more map[string]any) map[string]any {
	out := map[string]any{"listen": ip()}
	for _, m := range []map[string]any{n.params, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// member is our wire, running, with a host that checks and serves as a node
// that has the whole chain would.
type member struct {
	*opstack.Wire
	Host *wiretest.Host
}

func (n *network) member(t *testing.T, change ...func(*opstack.Config)) *member {
	t.Helper()
	f, err := fam.New(n.config)
	if err != nil {
		t.Fatal(err)
	}
	h := &wiretest.Host{
		OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
			return f.Check(m.(wire.Block).Block)
		},
		OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			at := r.(wire.GetBlocks).Range.From.Number
			if at >= uint64(len(n.blocks)) {
				return nil, &wire.Refusal{Code: wire.RefusedNotFound}
			}
			return wire.Blocks{Blocks: []chain.Block{n.blocks[at]}}, nil
		},
	}
	at := ip()
	cfg := opstack.Config{
		Rules: f.Rules(), Status: func() chain.Status { return chain.Status{Genesis: n.blocks[0].Ref().Hash} },
		Listen: []string{"/ip4/" + at + "/tcp/0"}, AllowPrivate: true,
	}
	for _, c := range change {
		c(&cfg)
	}
	w, err := opstack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Start(t, w, h)
	return &member{w, h}
}

// until waits for what the host is told.
func (s *member) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.Host.Until(ctx, cond) != nil {
		t.Fatalf("within %v there was not %s", patience, what)
	}
}

// dial connects to an op-node and gives the session.
func (s *member) dial(t *testing.T, to *opNode) wire.Session {
	t.Helper()
	a, err := s.ParseAddr(to.Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Dial(t.Context(), a); err != nil {
		t.Fatalf("Dial: %v", err)
	}
	return s.Host.Sessions()[0]
}

// meshed waits until both sides have each other in the mesh of the topic in
// use: what is published before is lost.
func (n *network) meshed(t *testing.T, s *member, to *opNode) {
	t.Helper()
	s.until(t, "four topics of op-node's", func() bool { return len(wiretest.Reports[wire.TopicChanged](s.Host)) >= 4 })
	to.meshed(t, n, 1)
	polls(t, "op-node in our mesh", func() bool { return s.Mesh(n.version) > 0 })
}

// meshed waits until op-node has so many peers in its mesh of the topic in use.
func (n *opNode) meshed(t *testing.T, of *network, size int) {
	t.Helper()
	polls(t, fmt.Sprintf("a mesh of op-node's with %d peers", size), func() bool {
		var sizes []int
		n.Do(map[string]any{"do": "meshes"}, &sizes)
		return sizes[of.version-1] >= size
	})
}

// due is the number of the newest block that is due.
func (n *network) due() int {
	return (int(time.Now().Unix()) - int(n.genesis)) / blockTime
}

// polls asks, of what tells nothing by itself, until the answer is yes.
func polls(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !yes(); pause(t, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within %v there was not %s", patience, what)
		}
	}
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// blameless checks that nobody was charged with anything.
func (s *member) blameless(t *testing.T) {
	t.Helper()
	for _, o := range wiretest.Reports[wire.Offended](s.Host) {
		t.Errorf("op-node was charged with %s: %s", o.Offense, o.Detail)
	}
}
