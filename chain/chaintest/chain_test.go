package chaintest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

func TestEqualConfigsMakeEqualBlocks(t *testing.T) {
	a, b := chaintest.NewChain(config), chaintest.NewChain(config)
	x, y := a.Extend(5), b.Extend(5)
	for i := range x {
		if x[i].Ref() != y[i].Ref() || !bytes.Equal(x[i].Body, y[i].Body) {
			t.Errorf("block %d differs: %s and %s", i, x[i].Ref(), y[i].Ref())
		}
	}
	other := config
	other.Seed++
	c := chaintest.NewChain(other)
	if c.Genesis().Ref() == a.Genesis().Ref() {
		t.Error("another seed has the same genesis")
	}
	if v := c.Check(x[0]); v.Action != chain.Reject {
		t.Errorf("Check of another seed's block = %s, want reject", v)
	}
}

func TestMakeShapesBlocks(t *testing.T) {
	c := chaintest.NewChain(chaintest.Config{BlockTime: 2 * time.Second})
	g := c.Genesis().Header
	for _, size := range []int{100, 64 << 10, chaintest.MaxBodyBytes} {
		if b := c.Next(g, chaintest.Make{Size: size}); len(b.Body) != size || c.Check(b).Action != chain.Accept {
			t.Errorf("Make{Size: %d} gave a body of %d bytes, %s", size, len(b.Body), c.Check(b))
		}
	}
	if b := c.Next(g, chaintest.Make{Size: chaintest.MaxBodyBytes + 1}); c.Check(b).Action != chain.Reject {
		t.Error("a body over the bound passes")
	}
	txs := [][]byte{[]byte("alice: one"), []byte("bob: two")}
	b := c.Next(g, chaintest.Make{Txs: txs, Size: 1000})
	got, err := chaintest.Txs(b.Body)
	if err != nil || len(got) != 3 || string(got[0].Bytes) != "alice: one" || got[1].Sender != "bob" || len(b.Body) != 1000 {
		t.Errorf("Make with two transactions and 1000 bytes gave %d of them in %d bytes, %v", len(got), len(b.Body), err)
	}
	if b := c.Next(g, chaintest.Make{Txs: [][]byte{}}); len(b.Body) != 0 || c.Check(b).Action != chain.Accept {
		t.Errorf("Make without transactions gave %d bytes, %s", len(b.Body), c.Check(b))
	}
	if d := c.Next(g, chaintest.Make{}).Header.Time.Sub(g.Time); d != 2*time.Second {
		t.Errorf("a child comes %v after its parent, want BlockTime", d)
	}
	if v := c.Check(c.Next(g, chaintest.Make{Forged: true})); v.Reason != chaintest.ReasonSeal {
		t.Errorf("Check of a forged block = %s, want %s", v, chaintest.ReasonSeal)
	}
}

func TestWeightDecidesNotLength(t *testing.T) {
	c := chaintest.NewChain(config)
	c.Extend(5)
	heavy := c.Next(c.Genesis().Header, chaintest.Make{Branch: 1, Weight: 6})
	if n, err := c.Import(t.Context(), []chain.Block{heavy}); n != 1 || err != nil {
		t.Fatalf("Import = %d, %v", n, err)
	}
	if got := c.Status(); got.Head != heavy.Ref() || got.Weight != chain.WeightOf(6) {
		t.Errorf("head = %s of weight %s, want the shorter and heavier branch", got.Head, got.Weight.Big())
	}
}

func TestFinalizedNeverGoesBack(t *testing.T) {
	c := chaintest.NewChain(config)
	c.Extend(20)
	final := c.Status().Finalized
	if final.Number != 12 {
		t.Fatalf("finalized = %d at head 20 with MaxReorg 8, want 12", final.Number)
	}
	at, err := c.Header(t.Context(), chain.Ref{Number: 12})
	if err != nil {
		t.Fatal(err)
	}
	short := c.Next(at, chaintest.Make{Branch: 1, Weight: 100})
	if _, err := c.Import(t.Context(), []chain.Block{short}); err != nil {
		t.Fatal(err)
	}
	if got := c.Status(); got.Head != short.Ref() || got.Finalized != final {
		t.Errorf("head %s, finalized %s; want the head moved and %s", got.Head, got.Finalized, final)
	}
	below, err := c.Header(t.Context(), chain.Ref{Number: 11})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Import(t.Context(), []chain.Block{c.Next(below, chaintest.Make{Branch: 2, Weight: 1000})}); !errors.Is(err, chain.ErrReorgTooDeep) {
		t.Errorf("Import below the finalized block = %v, want ErrReorgTooDeep", err)
	}
}

func TestFaultsAreInjected(t *testing.T) {
	c := chaintest.NewChain(config)
	blocks := c.Build(2)
	c.FailImport(chain.ErrFull)
	if n, err := c.Import(t.Context(), blocks); n != 0 || !errors.Is(err, chain.ErrFull) {
		t.Errorf("Import under FailImport = %d, %v", n, err)
	}
	c.FailImport(nil)
	c.FailStage(errPlain)
	if err := c.Stage(t.Context(), blocks); !errors.Is(err, errPlain) {
		t.Errorf("Stage under FailStage = %v", err)
	}
	c.FailReads(errPlain)
	if _, err := c.Block(t.Context(), c.Status().Head); !errors.Is(err, errPlain) {
		t.Errorf("Block under FailReads = %v", err)
	}
	if c = c.Reopen(); c.Status().Head.Number != 0 {
		t.Error("a failed Import took something")
	}
	if n, err := c.Import(t.Context(), blocks); n != 2 || err != nil {
		t.Errorf("Import after Reopen = %d, %v; want no faults", n, err)
	}
	if got := c.Counts(); got.Imported != 2 {
		t.Errorf("Counts = %+v, want 2 imported", got)
	}
}

func TestStallEndsWithChannelOrContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chaintest.NewChain(config)
		until := make(chan struct{})
		c.StallImport(until)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errPlain)
		defer cancel()
		if n, err := c.Import(ctx, c.Build(1)); n != 0 || !errors.Is(err, errPlain) {
			t.Errorf("a stalled Import whose context ended = %d, %v", n, err)
		}
		result := make(chan error, 1)
		go func() { _, err := c.Import(t.Context(), c.Build(1)); result <- err }()
		synctest.Wait()
		if got := c.Status().Head.Number; got != 0 {
			t.Errorf("head = %d while Import is stalled", got)
		}
		close(until)
		if err := <-result; err != nil || c.Status().Head.Number != 1 {
			t.Errorf("Import after the stall = %v, head %d", err, c.Status().Head.Number)
		}
		c.StallImport(nil)
		c.Extend(1)
	})
}

func TestPoolIsBounded(t *testing.T) {
	p := chaintest.NewPool()
	accepted := 0
	for _, v := range p.Add(poolTxs(chaintest.MaxPoolTxs + 10)) {
		if v.Action == chain.Accept {
			accepted++
		}
	}
	if accepted != chaintest.MaxPoolTxs {
		t.Errorf("a pool took %d transactions, want %d", accepted, chaintest.MaxPoolTxs)
	}
	big := chaintest.NewTx(make([]byte, chaintest.MaxTxBytes+1))
	if v := p.Add([]chain.Tx{big}); v[0].Action != chain.Reject || !p.Has(big.Hash) {
		t.Errorf("Add of an unfit transaction = %s, remembered %v; want reject, true", v[0], p.Has(big.Hash))
	}
	p.Remove(poolTxs(1)[0].Hash)
	if v := p.Add(poolTxs(1)); v[0].Action != chain.Accept {
		t.Errorf("Add after Remove = %s", v[0])
	}
}

// FuzzTxs checks that whatever decodes as a body re-encodes to it.
func FuzzTxs(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 1, 7})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 7})
	f.Fuzz(func(t *testing.T, body []byte) {
		txs, err := chaintest.Txs(body)
		if err != nil {
			if !errors.Is(err, chain.ErrInvalid) {
				t.Fatalf("Txs = %v, want ErrInvalid", err)
			}
			return
		}
		var again []byte
		for _, tx := range txs {
			again = binary.BigEndian.AppendUint32(again, uint32(len(tx.Bytes)))
			again = append(again, tx.Bytes...)
		}
		if !bytes.Equal(again, body) {
			t.Fatalf("round trip of %x gave %x", body, again)
		}
	})
}

// FuzzHeader checks that no bytes make a check panic, and that none pass but
// those that the chain sealed.
func FuzzHeader(f *testing.F) {
	c := chaintest.NewChain(config)
	good := c.Next(c.Genesis().Header, chaintest.Make{})
	f.Add(good.Header.Bytes, good.Body, good.Extra)
	f.Add(c.Forge(good).Header.Bytes, good.Body, good.Extra)
	f.Add([]byte("ctb1"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, header, body, extra []byte) {
		h := good.Header
		h.Bytes = header
		passes := c.Check(chain.Block{Header: h, Body: body, Extra: extra}).Action == chain.Accept
		if same := bytes.Equal(header, good.Header.Bytes) && bytes.Equal(body, good.Body) && bytes.Equal(extra, good.Extra); passes != same {
			t.Fatalf("Check passes %x = %v", header, passes)
		}
		if n, err := c.VerifyHeaders(c.Genesis().Header, []chain.Header{h}); (n == 1) != (err == nil) {
			t.Fatalf("VerifyHeaders = %d, %v", n, err)
		}
	})
}

// A chain to test a network with: what one makes, the other takes.
func ExampleNewChain() {
	alice := chaintest.NewChain(chaintest.Config{Network: "example"})
	bob := chaintest.NewChain(chaintest.Config{Network: "example"})
	blocks := alice.Extend(3)
	slices.Reverse(blocks)
	n, err := bob.Import(context.Background(), blocks)
	fmt.Println(n, errors.Is(err, chain.ErrUnknownParent))
	slices.Reverse(blocks)
	n, err = bob.Import(context.Background(), blocks)
	fmt.Println(n, err, bob.Status().Head.Number)
	// Output:
	// 0 true
	// 3 <nil> 3
}
