package devp2p

import (
	"context"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// serving answers requests of eth with what is in it.
type serving struct {
	body, receipts []byte // of every block
	tx             []byte
	asked          []wire.Request
}

func (s *serving) host() *wiretest.Host {
	return &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		s.asked = append(s.asked, r)
		switch r := r.(type) {
		case wire.GetBodies:
			out := wire.Bodies{Hashes: r.Hashes}
			for range r.Hashes {
				out.Bodies = append(out.Bodies, wire.Body{Body: s.body})
			}
			return out, nil
		case wire.GetReceipts:
			out := wire.Receipts{Hashes: r.Hashes}
			for range r.Hashes {
				out.Receipts = append(out.Receipts, s.receipts)
			}
			return out, nil
		case wire.GetTxs:
			var out wire.TxList
			for range r.Hashes {
				out.Txs = append(out.Txs, chain.Tx{Bytes: s.tx})
			}
			return out, nil
		}
		return nil, &wire.Refusal{Code: wire.RefusedNotFound}
	}}
}

func hashesTo(n int) []chain.Hash {
	out := make([]chain.Hash, n)
	for i := range out {
		out[i] = chain.Hash{1, byte(i), byte(i >> 8)}
	}
	return out
}

// Threat R-03: under eth/68 receipts grow by a bloom each, 256 bytes to some
// eight: what ends an answer is what is sent.
func TestBloomsCountInAnAnswer(t *testing.T) {
	plain := &serving{receipts: receiptsFor(900)}
	each, err := eth.ReceiptsSize(plain.receipts, eth.V68)
	if err != nil || each < 30*len(plain.receipts) {
		t.Fatalf("receipts of %d bytes become %d, %v: nothing is shown by that", len(plain.receipts), each, err)
	}
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := besiege(t, n, eth.V68, plain.host())
		got := len(b.answerTo(t, eth.GetReceiptsMsg, eth.GetReceipts{ID: 1, Hashes: hashesTo(1024)}.Append(nil, eth.V68)))
		if most := eth.SoftAnswer + each + 1<<10; got < eth.SoftAnswer || got > most {
			t.Errorf("%d bytes were answered, want 2 MiB and at most %d", got, most)
		}
		charged(t, a, "", peer.None, 0)
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// What makes no message that the peer would read is not sent: the answer ends
// before it, be it empty, and the session stays.
func TestNothingLargerThanAMessageIsAnswered(t *testing.T) {
	large := make([]byte, eth.MaxMessage)
	body := append([]byte{0xfa, 0xa0, 0, 0}, large...)
	for name, tt := range map[string]struct {
		v       eth.Version
		host    *serving
		code    uint64
		request []byte
	}{
		"receipts with blooms": {eth.V68, &serving{receipts: receiptsFor(45_000)}, eth.GetReceiptsMsg, eth.GetReceipts{ID: 7, Hashes: hashesTo(2)}.Append(nil, eth.V68)},
		"receipts":             {eth.V69, &serving{receipts: body}, eth.GetReceiptsMsg, eth.GetReceipts{ID: 7, Hashes: hashesTo(2)}.Append(nil, eth.V69)},
		"a body":               {eth.V69, &serving{body: body}, eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: 7, Hashes: hashesTo(2)}.Append(nil)},
		"a transaction":        {eth.V69, &serving{tx: append([]byte{2}, large...)}, eth.GetPooledTransactionsMsg, eth.GetPooledTransactions{ID: 7, Hashes: hashesTo(2)}.Append(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				a, b := besiege(t, n, tt.v, tt.host.host())
				for range 2 {
					if got := b.answerTo(t, tt.code, tt.request); string(got) != "\xc2\x07\xc0" {
						t.Errorf("%d bytes were answered, want an empty list", len(got))
					}
				}
				if len(a.host.Sessions()) != 1 {
					t.Error("the session has ended")
				}
				charged(t, a, "", peer.None, 0)
				b.Close()
				time.Sleep(time.Second)
				a.stop(t)
			})
		})
	}
}

// The Host is told what an answer can hold, and that GetPooledTransactions asks
// for what waits in the pool: a block does not keep the blobs of a transaction,
// and one without them ends the session with geth.
func TestTheHostIsAskedForNoMoreThanIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		s := &serving{body: bodyOf(1), receipts: receiptsFor(1), tx: txOf(1).Bytes}
		a, b := besiege(t, n, eth.V70, s.host())
		b.answerTo(t, eth.GetBlockBodiesMsg, eth.GetBlockBodies{ID: 1, Hashes: hashesTo(2)}.Append(nil))
		b.answerTo(t, eth.GetReceiptsMsg, eth.GetReceipts{ID: 2, Hashes: hashesTo(2)}.Append(nil, eth.V70))
		b.answerTo(t, eth.GetPooledTransactionsMsg, eth.GetPooledTransactions{ID: 3, Hashes: hashesTo(2)}.Append(nil))
		for _, r := range s.asked {
			most := 0
			switch r := r.(type) {
			case wire.GetBodies:
				most = r.MaxBytes
			case wire.GetReceipts:
				most = r.MaxBytes
			case wire.GetTxs:
				if most = r.MaxBytes; !r.Pooled {
					t.Error("transactions are asked for that blocks have")
				}
			}
			if most != eth.SoftAnswer {
				t.Errorf("%T asks for %d bytes, want %d", r, most, eth.SoftAnswer)
			}
		}
		if len(s.asked) != 3 {
			t.Errorf("the Host was asked %d times, want 3", len(s.asked))
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}
