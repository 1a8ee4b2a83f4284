package devp2p

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// answerTo sends a request and gives the answer's payload.
func (b *bare) answerTo(t *testing.T, code uint64, request []byte) []byte {
	t.Helper()
	b.send(t, b.offset+code, request)
	f, err := b.read(t)
	if err != nil || f.Code != b.offset+code+1 {
		t.Fatalf("the answer to message %d = %+v, %v", code, f, err)
	}
	defer f.Release()
	return append([]byte(nil), f.Payload...)
}

// Threats M-05 and R-04 (CVE-2024-32972: a request for no headers made geth
// count from 2^64-1): requests for nothing, past the end of numbers and for what
// is not there get an empty answer with their id, at no charge, and nothing of
// them makes the Host look for more than the protocol allows.
func TestRequestsForNothingGetNothing(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		h := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); ok && (g.Range.Count < 1 || g.Range.Count > eth.MaxHeaders || g.Range.Skip < 0 || g.Range.MaxBytes != eth.SoftAnswer) {
				t.Errorf("the Host is asked for %+v", g.Range)
			}
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}}
		a, b := besiege(t, n, eth.V70, h)
		id := uint64(0)
		edge := []uint64{0, 1, eth.MaxHeaders, eth.MaxHeaders + 1, 1 << 31, 1 << 63, 1<<64 - 1}
		for _, amount := range edge {
			for _, skip := range edge {
				for _, origin := range []chain.Ref{{}, {Number: 1<<64 - 1}, {Number: 9}, {Hash: chain.Hash{7}}} {
					for _, reverse := range []bool{false, true} {
						id++
						got, err := eth.DecodeBlockHeaders(b.answerTo(t, eth.GetBlockHeadersMsg, eth.GetBlockHeaders{ID: id, Origin: origin, Amount: amount, Skip: skip, Reverse: reverse}.Append(nil)), 1)
						if err != nil || got.ID != id || len(got.Headers) > 0 {
							t.Fatalf("%d from %v, skipping %d: %+v, %v", amount, origin, skip, got, err)
						}
					}
				}
			}
		}
		for _, hashes := range [][]chain.Hash{nil, {{1}}, make([]chain.Hash, 2000)} {
			bodies, err := eth.DecodeBlockBodies(b.answerTo(t, eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: 1, Hashes: hashes}.Append(nil)), 1)
			if err != nil || bodies.ID != 1 || len(bodies.Bodies) > 0 {
				t.Errorf("bodies: %+v, %v", bodies, err)
			}
			receipts, err := eth.DecodeReceipts(b.answerTo(t, eth.GetReceiptsMsg, eth.GetReceipts{ID: 2, First: 1 << 63, Hashes: hashes}.Append(nil, eth.V70)), eth.V70, 1)
			if err != nil || receipts.ID != 2 || len(receipts.Blocks) > 0 || receipts.Incomplete {
				t.Errorf("receipts: %+v, %v", receipts, err)
			}
			txs, err := eth.DecodePooledTransactions(b.answerTo(t, eth.GetPooledTransactionsMsg, eth.GetPooledTransactions{ID: 3, Hashes: hashes}.Append(nil)), 1)
			if err != nil || txs.ID != 3 || len(txs.Txs) > 0 {
				t.Errorf("transactions: %+v, %v", txs, err)
			}
		}
		charged(t, a, "", peer.None, 0)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threat R-03: the widest legal requests, over and over: an answer ends where
// it has crossed 2 MiB, whatever was found, and nobody is charged for asking.
func TestTheWidestRequestsGetTwoMebibytes(t *testing.T) {
	item := make([]byte, 100<<10)
	hashes := make([]chain.Hash, 1024)
	for i := range hashes {
		hashes[i] = chain.Hash{1, byte(i), byte(i >> 8)}
	}
	logs := receiptsFor(900)
	bubble(t, func(t *testing.T, n *bed.Net) {
		h := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			switch r := r.(type) {
			case wire.GetHeaders:
				hs := make([]chain.Header, r.Range.Count)
				for i := range hs {
					hs[i].Bytes = append([]byte{0xf9, 0x1f, 0xfd}, make([]byte, 0x1ffd)...)
				}
				return wire.Headers{Headers: hs}, nil
			case wire.GetBodies:
				out := wire.Bodies{Hashes: r.Hashes}
				for range r.Hashes {
					out.Bodies = append(out.Bodies, wire.Body{Body: append([]byte{0xfa, 1, 0x90, 0}, item...)})
				}
				return out, nil
			case wire.GetReceipts:
				out := wire.Receipts{Hashes: r.Hashes}
				for range r.Hashes {
					out.Receipts = append(out.Receipts, logs)
				}
				return out, nil
			case wire.GetTxs:
				var out wire.TxList
				for range r.Hashes {
					out.Txs = append(out.Txs, chain.Tx{Bytes: append([]byte{2}, item...)})
				}
				return out, nil
			}
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}}
		a, b := besiege(t, n, eth.V70, h)
		for range 2 {
			for name, tt := range map[string]struct {
				code    uint64
				request []byte
				most    int // of one item
			}{
				"headers":      {eth.GetBlockHeadersMsg, eth.GetBlockHeaders{ID: 1, Origin: chain.Ref{Number: 1}, Amount: 1024}.Append(nil), 8 << 10},
				"bodies":       {eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: 2, Hashes: hashes}.Append(nil), len(item)},
				"receipts":     {eth.GetReceiptsMsg, eth.GetReceipts{ID: 3, Hashes: hashes}.Append(nil, eth.V70), len(logs)},
				"transactions": {eth.GetPooledTransactionsMsg, eth.GetPooledTransactions{ID: 4, Hashes: hashes}.Append(nil), len(item)},
			} {
				got := len(b.answerTo(t, tt.code, tt.request))
				if most := eth.SoftAnswer + tt.most + 1<<10; got > most || got < eth.SoftAnswer {
					t.Errorf("%s: %d bytes were answered, want 2 MiB and at most %d", name, got, most)
				}
			}
		}
		charged(t, a, "", peer.None, 0)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threats L-01 and L-04: an answer that holds more than was asked for, or is no
// answer at all, is fatal for its deliverer and gives the asker nothing.
func TestAnswersThatCannotBeAreFatal(t *testing.T) {
	two := []chain.Hash{{1}, {2}}
	for name, tt := range map[string]struct {
		ask    wire.Request
		answer func(id uint64) (code uint64, payload []byte)
	}{
		"three headers of two": {wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 2}}, func(id uint64) (uint64, []byte) {
			return eth.BlockHeadersMsg, eth.BlockHeaders{ID: id, Headers: [][]byte{headerOf(1).Bytes, headerOf(2).Bytes, headerOf(3).Bytes}}.Append(nil)
		}},
		"no header": {wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 2}}, func(id uint64) (uint64, []byte) {
			return eth.BlockHeadersMsg, eth.BlockHeaders{ID: id, Headers: [][]byte{{0xc1, 0x80}}}.Append(nil)
		}},
		"three bodies of two": {wire.GetBodies{Hashes: two}, func(id uint64) (uint64, []byte) {
			return eth.BlockBodiesMsg, eth.BlockBodies{ID: id, Bodies: [][]byte{bodyOf(1), bodyOf(1), bodyOf(1)}}.Append(nil)
		}},
		"a body of a million nothings": {wire.GetBodies{Hashes: two}, func(id uint64) (uint64, []byte) { // Threat B-05
			nothings := make([]byte, 1<<20)
			for i := range nothings {
				nothings[i] = 0xc0
			}
			body := append([]byte{0xfa, 0x10, 0x00, 0x05, 0xfa, 0x10, 0x00, 0x00}, append(nothings, 0xc0)...)
			return eth.BlockBodiesMsg, eth.BlockBodies{ID: id, Bodies: [][]byte{body}}.Append(nil)
		}},
		"receipts with bytes behind": {wire.GetReceipts{Hashes: two}, func(id uint64) (uint64, []byte) {
			b, _ := eth.Receipts{ID: id, Blocks: [][]byte{receiptsFor(1)}}.Append(nil, eth.V69)
			return eth.ReceiptsMsg, append(b, 0)
		}},
		"three transactions of two": {wire.GetTxs{Hashes: two}, func(id uint64) (uint64, []byte) {
			return eth.PooledTransactionsMsg, eth.PooledTransactions{ID: id, Txs: [][]byte{txOf(1).Bytes, txOf(2).Bytes, txOf(3).Bytes}}.Append(nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				a, b := besiege(t, n, eth.V69, nil)
				type result struct {
					r   wire.Response
					err error
				}
				got := make(chan result, 1)
				s := a.host.Sessions()[0]
				go func() { r, err := s.Request(context.Background(), tt.ask); got <- result{r, err} }()
				f, err := b.read(t)
				if err != nil {
					t.Fatal(err)
				}
				id, err := eth.RequestID(f.Payload)
				if err != nil {
					t.Fatal(err)
				}
				code, payload := tt.answer(id)
				go b.drain(t)
				b.send(t, b.offset+code, payload)
				if r := <-got; r.err == nil {
					t.Errorf("Request = %+v", r.r)
				}
				closedWith(t, a, peer.BadScore)
				charged(t, a, peer.BadEncoding, peer.Fatal, 1)
				b.Close()
				a.stop(t)
			})
		})
	}
}

// Threat L-01: under eth/68 a peer's head is asked for by its hash; a header of
// another hash is fatal, and no claim comes of it.
func TestAnotherHeaderThanThatOfTheHeadIsFatal(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		b := dialBare(t, n, 2, a)
		b.greet(t, base.Cap{Name: "eth", Version: 68})
		st := status(eth.V68, a)
		st.Head, st.Difficulty = chain.Hash{0xbe, 0xef}, chain.WeightOf(1<<40)
		b.send(t, b.offset+eth.StatusMsg, st.Append(nil, eth.V68))
		for {
			f, err := b.read(t)
			if err != nil {
				t.Fatal(err)
			}
			if f.Code != b.offset+eth.GetBlockHeadersMsg {
				continue
			}
			id, _ := eth.RequestID(f.Payload)
			b.send(t, b.offset+eth.BlockHeadersMsg, eth.BlockHeaders{ID: id, Headers: [][]byte{headerOf(9).Bytes}}.Append(nil))
			break
		}
		go b.drain(t)
		closedWith(t, a, peer.BadScore)
		charged(t, a, peer.WrongBlock, peer.Fatal, 1)
		if c := wiretest.Reports[wire.Claimed](a.host); len(c) > 0 {
			t.Errorf("Claimed = %+v", c)
		}
		b.Close()
		a.stop(t)
	})
}
