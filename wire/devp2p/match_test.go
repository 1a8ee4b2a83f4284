package devp2p

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// full is a block whose header says what its contents are.
type full struct {
	header         chain.Header
	body, receipts []byte
}

// fullBlock is a block with n transactions.
func fullBlock(t *testing.T, number uint64, n byte) full {
	t.Helper()
	b := full{body: bodyOf(n), receipts: receiptsFor(int(n))}
	roots, err := eth.RootsOf(b.body)
	if err != nil {
		t.Fatal(err)
	}
	root, err := eth.ReceiptsRoot(b.receipts)
	if err != nil {
		t.Fatal(err)
	}
	fields := headerFields(number)
	fields[1], fields[4], fields[5] = roots.Uncles, roots.Txs, root
	raw, err := rlp.EncodeToBytes(fields)
	if err != nil {
		t.Fatal(err)
	}
	if b.header, err = eth.ParseHeader(raw); err != nil {
		t.Fatal(err)
	}
	return b
}

// Up to geth v1.13 an answer leaves out what the peer lacks. What is in it is
// told by the headers, with receipts and without, and nobody pays for what is
// left out; what is of no block that was asked for is charged, and the rest kept.
func TestAnswersThatLeaveBlocksOutAreMatched(t *testing.T) {
	blocks := []full{fullBlock(t, 1, 1), fullBlock(t, 2, 2), fullBlock(t, 3, 3), fullBlock(t, 4, 3), fullBlock(t, 5, 5)}
	stranger := fullBlock(t, 6, 9)
	ask := wire.GetBodies{}
	for _, b := range blocks {
		ask.Hashes, ask.Headers = append(ask.Hashes, b.header.Ref.Hash), append(ask.Headers, b.header)
	}
	at := func(list []int) (out []full) {
		for _, i := range list {
			if i < 0 {
				out = append(out, stranger)
			} else {
				out = append(out, blocks[i])
			}
		}
		return out
	}
	for _, tt := range []struct {
		name             string
		bodies, receipts []int // of the answers; -1: a stranger's
		with             bool  // receipts
		blind            bool  // without the headers
		want             []int
		charged          int
	}{
		{name: "all", bodies: []int{0, 1, 2, 3, 4}, want: []int{0, 1, 2, 3, 4}},
		{name: "the middle left out", bodies: []int{0, 1, 4}, want: []int{0, 1, 4}},
		{name: "the first left out", bodies: []int{1, 4}, want: []int{1, 4}},
		{name: "cut short", bodies: []int{0, 1}, want: []int{0, 1}},
		{name: "one of two alike", bodies: []int{0, 3, 4}, want: []int{0, 2, 4}},
		{name: "a stranger's among them", bodies: []int{0, -1, 4}, want: []int{0, 4}, charged: 1},
		{name: "out of order", bodies: []int{4, 0}, want: []int{4}, charged: 1},
		{name: "only strangers'", bodies: []int{-1, -1}, charged: 1},
		{name: "without headers the first ones", bodies: []int{0, 1}, blind: true, want: []int{0, 1}},
		{name: "receipts that have gaps too", bodies: []int{0, 2, 4}, receipts: []int{0, 1, 4}, with: true, want: []int{0, 4}},
		{name: "receipts of a stranger", bodies: []int{0, 1, 4}, receipts: []int{0, -1, 4}, with: true, want: []int{0, 4}, charged: 1},
		{name: "receipts of other blocks", bodies: []int{0, 1}, receipts: []int{4}, with: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *bed.Net) {
				a := start(t, n, 1, nil, func(c *Config) { c.WithReceipts = tt.with })
				b := dialBare(t, n, 2, a)
				b.shake(t, eth.V69, a)
				time.Sleep(time.Second)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for range 1 + min(1, len(tt.receipts)) {
						f, err := b.read(t)
						if err != nil {
							return
						}
						id, _ := eth.RequestID(f.Payload)
						var raw [][]byte
						switch f.Code - base.Offset {
						case eth.GetBlockBodiesMsg:
							for _, x := range at(tt.bodies) {
								raw = append(raw, x.body)
							}
							b.send(t, base.Offset+eth.BlockBodiesMsg, eth.BlockBodies{ID: id, Bodies: raw}.Append(nil))
						case eth.GetReceiptsMsg:
							for _, x := range at(tt.receipts) {
								raw = append(raw, x.receipts)
							}
							m, err := eth.Receipts{ID: id, Blocks: raw}.Append(nil, eth.V69)
							if err != nil {
								t.Error(err)
							}
							b.send(t, base.Offset+eth.ReceiptsMsg, m)
						}
					}
				}()
				rq := ask
				if tt.blind {
					rq.Headers = nil
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				got, err := a.host.Sessions()[0].Request(ctx, rq)
				<-done
				bodies, _ := got.(wire.Bodies)
				if (err != nil) != (len(tt.want) == 0) {
					t.Fatalf("Request = %v", err)
				}
				var want []chain.Hash
				for i, k := range tt.want {
					want = append(want, blocks[k].header.Ref.Hash)
					if i >= len(bodies.Bodies) {
						continue
					}
					if body := bodies.Bodies[i]; string(body.Body) != string(blocks[k].body) || tt.with && string(body.Extra) != string(blocks[k].receipts) {
						t.Errorf("the contents of block %d are not its own", k)
					}
				}
				if !slices.Equal(bodies.Hashes, want) {
					t.Errorf("got %v, want %v", bodies.Hashes, want)
				}
				if got := offenses(a); got[peer.WrongBlock] != tt.charged || len(got) > min(1, tt.charged) {
					t.Errorf("charged %v, want %d", fmt.Sprint(got), tt.charged)
				}
				b.Close()
				time.Sleep(time.Second)
				a.stop(t)
			})
		})
	}
}

// Threat B-05: more receipts than blocks have are not hashed to find their place:
// they are taken for the first ones, and whoever verifies them refuses them.
func TestTooManyReceiptsAreNotHashed(t *testing.T) {
	a, b := fullBlock(t, 1, 1), fullBlock(t, 2, 2)
	hashes, headers := []chain.Hash{a.header.Ref.Hash, b.header.Ref.Hash}, []chain.Header{a.header, b.header}
	if at, told := placeReceipts(hashes, headers, [][]byte{b.receipts}); !told || !slices.Equal(at, []int{1}) {
		t.Errorf("receipts of the second block are at %v, %t", at, told)
	}
	if at, told := placeReceipts(hashes, headers, [][]byte{receiptsFor(mostBloomed + 1)}); told {
		t.Errorf("%d receipts are at %v", mostBloomed+1, at)
	}
}
