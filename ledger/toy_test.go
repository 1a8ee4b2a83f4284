package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toy is a family without keys: blocks weigh what they say, and their body is
// one write to the state and its own only transaction.
type toy struct {
	network string
	rules   []ledger.Rule
}

const toyHeaderLen = 8 + 32 + 1 + 8 + 32

type toyBlock struct {
	parent chain.Header
	weight byte
	branch uint64
	body   []byte
	extra  []byte
}

func (b toyBlock) make() chain.Block {
	sum := sha256.Sum256(b.body)
	h := binary.BigEndian.AppendUint64(nil, b.parent.Ref.Number+1)
	if b.parent.Bytes == nil {
		h = binary.BigEndian.AppendUint64(nil, 0)
	}
	h = append(append(h, b.parent.Ref.Hash[:]...), b.weight)
	h = append(binary.BigEndian.AppendUint64(h, b.branch), sum[:]...)
	ch, err := toy{}.DecodeHeader(h)
	if err != nil {
		panic(err)
	}
	return chain.Block{Header: ch, Body: b.body, Extra: b.extra}
}

// body sets key to value; "fail" is invalid.
func body(key, value string) []byte { return []byte(key + "=" + value) }

func (f toy) Spec() ledger.Spec {
	g := toyBlock{branch: uint64(len(f.network)), body: body("genesis", f.network)}.make()
	return ledger.Spec{Network: f.network, Genesis: g, Rules: f.rules}
}

func (f toy) Check(chain.Block) chain.Verdict { return chain.Accepted() }

func (f toy) VerifyHeaders(_ chain.Header, hs []chain.Header) (int, error) { return len(hs), nil }

func (f toy) VerifyBody(h chain.Header, body, _ []byte) error {
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], h.Bytes[49:]) {
		return chain.ErrInvalid
	}
	return nil
}

func (f toy) DecodeHeader(b []byte) (chain.Header, error) {
	if len(b) != toyHeaderLen {
		return chain.Header{}, fmt.Errorf("toy: header of %d bytes", len(b))
	}
	n := binary.BigEndian.Uint64(b)
	return chain.Header{
		Ref:    chain.Ref{Number: n, Hash: sha256.Sum256(b)},
		Parent: chain.Hash(b[8:]),
		Time:   time.Unix(int64(n%1e9)*10, 0).UTC(),
		Bytes:  b,
	}, nil
}

func (f toy) Txs(b chain.Block) ([]chain.Tx, error) {
	if b.Ref().Number == 0 {
		return nil, nil
	}
	// The transaction may be the same in blocks of different branches.
	return []chain.Tx{{Hash: sha256.Sum256(binary.BigEndian.AppendUint64(b.Body[:len(b.Body):len(b.Body)], b.Ref().Number)), Bytes: b.Body}}, nil
}

func (f toy) Weight(parent chain.Weight, h chain.Header) chain.Weight {
	return chain.WeightOf(parent.Big().Uint64() + uint64(h.Bytes[40]))
}

func (f toy) GenesisState() []ledger.Write {
	return []ledger.Write{{Key: []byte("genesis"), Value: []byte(f.network)}}
}

func (f toy) Execute(s ledger.State, b chain.Block) ([]ledger.Write, error) {
	k, v, _ := bytes.Cut(b.Body, []byte("="))
	if string(k) == "fail" {
		return nil, fmt.Errorf("toy: %w", chain.ErrInvalid)
	}
	if len(v) == 0 {
		v = nil
	}
	// It depends on what was there, so that a wrong undo shows.
	old, err := s.Get(k)
	if err != nil {
		return nil, err
	}
	n := sha256.Sum256(append(slices.Clone(v), old...))
	w := []ledger.Write{{Key: bytes.Clone(k), Value: bytes.Clone(v)}}
	return append(w, ledger.Write{Key: []byte{0, n[0] % 8}, Value: n[:]}), nil
}

func open(t testing.TB, fs vfs.FS, o ledger.Options) *ledger.Ledger {
	t.Helper()
	if o.Family == nil {
		o.Family = toy{network: "toy"}
	}
	dir := "chain"
	if o.FS = fs; fs == nil {
		dir = t.TempDir()
	}
	l, err := ledger.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// run makes n blocks of weight 1 on parent.
func run(parent chain.Header, branch uint64, n int) []chain.Block {
	var out []chain.Block
	for i := range n {
		b := toyBlock{parent: parent, weight: 1, branch: branch, body: body(fmt.Sprint("k", i%5), fmt.Sprint(branch, "/", parent.Ref.Number))}.make()
		out = append(out, b)
		parent = b.Header
	}
	return out
}

func headOf(t testing.TB, l *ledger.Ledger) chain.Header {
	t.Helper()
	h, err := l.Header(context.Background(), l.Status().Head)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func take(t testing.TB, l *ledger.Ledger, bs []chain.Block) {
	t.Helper()
	if n, err := l.Import(context.Background(), bs); n != len(bs) || err != nil {
		t.Fatalf("Import of %d blocks = %d, %v", len(bs), n, err)
	}
}

func check(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	if err := errors.Join(l.CheckInvariants(context.Background()), l.CheckState(context.Background())); err != nil {
		t.Fatal(err)
	}
}
