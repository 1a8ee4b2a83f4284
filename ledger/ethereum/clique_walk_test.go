package ethereum

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"math/big"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// countedReader counts what is read, and ends a context after so many reads.
type countedReader struct {
	chain.Reader
	reads, end int
	stop       context.CancelFunc
}

func (r *countedReader) Headers(ctx context.Context, rg chain.Range) ([]chain.Header, error) {
	if r.reads++; r.reads == r.end {
		r.stop()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return r.Reader.Headers(ctx, rg)
}

// The signers after a restart are told from at most an epoch of headers, and an
// end on the way is no fault of the header that wants them.
func TestTheWayBackEndsWithTheContext(t *testing.T) {
	f := authority(t, 1, 2000, "test")
	line := headerLine{f.c.Genesis.Header}
	for range 3900 {
		line = append(line, child(t, f, line[len(line)-1], 0).Header)
	}
	head := line[len(line)-1]
	fresh := authority(t, 1, 2000, "test")
	r := &countedReader{Reader: line}
	fresh.Attach(r)
	if _, err := fresh.clique.signersAfter(t.Context(), head); err != nil || r.reads > 1900/walkHeaders+2 {
		t.Errorf("%d reads, %v", r.reads, err)
	}
	fresh = authority(t, 1, 2000, "test")
	ctx, stop := context.WithCancel(t.Context())
	r = &countedReader{Reader: line, end: 3, stop: stop}
	fresh.Attach(r)
	if _, err := fresh.clique.signersAfter(ctx, head); !errors.Is(err, context.Canceled) || r.reads != 3 {
		t.Errorf("after %d reads: %v, want the context's end", r.reads, err)
	}
	own := ownTrouble{}
	if _, err := fresh.clique.signersAfter(ctx, head); !errors.As(err, &own) {
		t.Errorf("%v is a fault of the header's", err)
	}
}

// BenchmarkSignersAfterARestart tells the signers after the last block of an
// epoch, of 30,000 headers, with nothing remembered.
func BenchmarkSignersAfterARestart(b *testing.B) {
	const signers = 21
	f := authority(b, signers, defaultEpoch, "test")
	l, err := ledger.Open(b.TempDir(), ledger.Options{Family: f, FS: vfs.Default})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	parent := f.c.Genesis.Header
	var blocks []chain.Block
	keys := make([]*ecdsa.PrivateKey, signers)
	for i, a := range sortedSigners(b, signers) {
		keys[i] = keyOf(b, a, signers)
	}
	for n := uint64(1); n < defaultEpoch; n++ {
		h := next(b, parent)
		h.Difficulty = big.NewInt(2)
		blocks = append(blocks, sealedBy(b, h, keys[n%signers]))
		parent = blocks[len(blocks)-1].Header
	}
	if n, err := l.Import(b.Context(), blocks); err != nil || n != len(blocks) {
		b.Fatal(n, err)
	}
	for b.Loop() {
		fresh := authority(b, signers, defaultEpoch, "test")
		fresh.Attach(l)
		s, err := fresh.clique.signersAfter(b.Context(), parent)
		if err != nil || len(s.recent) != signers/2+1 {
			b.Fatal(s, err)
		}
	}
}
