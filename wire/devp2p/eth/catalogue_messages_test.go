package eth

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	gethproto "github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

func keccak(b []byte) chain.Hash { return chain.Hash(crypto.Keccak256Hash(b)) }

func tryStatus(t *testing.T, d draw, v Version) {
	ours, theirs := d.forkID()
	s := Status{Version: uint64(v), Network: d.uint(), Genesis: d.hash(), Fork: ours, Head: d.hash()}
	if v == V68 {
		s.Difficulty = chain.WeightOf(d.uint())
		agree(t, s.Append(nil, v), &struct { // the packet of geth 1.13.15, which the library has no more
			Version       uint32
			Network       uint64
			TD            *big.Int
			Head, Genesis common.Hash
			Fork          forkid.ID
		}{uint32(v), s.Network, s.Difficulty.Big(), common.Hash(s.Head), common.Hash(s.Genesis), theirs})
	} else {
		s.Earliest, s.Latest = d.uint(), d.uint()
		agree(t, s.Append(nil, v), &gethproto.StatusPacket{
			ProtocolVersion: uint32(v), NetworkID: s.Network, Genesis: common.Hash(s.Genesis), ForkID: theirs,
			EarliestBlock: s.Earliest, LatestBlock: s.Latest, LatestBlockHash: common.Hash(s.Head),
		})
	}
	got, err := DecodeStatus(s.Append(nil, v), v)
	means(t, got, s, err)
}

func tryNewBlockHashes(t *testing.T, d draw, _ Version) {
	type packet []struct { // of geth 1.13.15
		Hash   common.Hash
		Number uint64
	}
	m := NewBlockHashes{}
	theirs := make(packet, d.IntN(MaxBlockHashes))
	for i := range theirs {
		r := chain.Ref{Number: d.uint(), Hash: d.hash()}
		m.Blocks = append(m.Blocks, r)
		theirs[i].Hash, theirs[i].Number = common.Hash(r.Hash), r.Number
	}
	agree(t, m.Append(nil), &theirs)
	got, err := DecodeNewBlockHashes(m.Append(nil))
	if len(theirs) > 0 {
		means(t, got, m, err)
	}
}

func tryTransactions(t *testing.T, d draw, _ Version) {
	txs := d.allTxs()
	m := Transactions{raws(t, txs)}
	back := agree(t, m.Append(nil), &gethproto.TransactionsPacket{RawList: list(t, txs)})
	sameTxs(t, items(t, &back.RawList), txs)
	got, err := DecodeTransactions(m.Append(nil))
	means(t, got, m, err)
}

// tryGetBlockHeaders asks in each way: by hash or number, forwards and
// backwards, with gaps or none, for nothing, some, and more than there can be.
func tryGetBlockHeaders(t *testing.T, d draw, _ Version) {
	for _, origin := range []chain.Ref{{Hash: d.hash()}, {Number: d.uint()}, {}} {
		for _, amount := range []uint64{0, 1, 192, d.uint(), 1<<64 - 1} {
			for _, skip := range []uint64{0, 1, d.uint(), 1<<64 - 1} {
				for _, reverse := range []bool{false, true} {
					m := GetBlockHeaders{ID: d.uint(), Origin: origin, Amount: amount, Skip: skip, Reverse: reverse}
					back := agree(t, m.Append(nil), &gethproto.GetBlockHeadersPacket{RequestId: m.ID, GetBlockHeadersRequest: &gethproto.GetBlockHeadersRequest{
						Origin: gethproto.HashOrNumber{Hash: common.Hash(origin.Hash), Number: origin.Number}, Amount: amount, Skip: skip, Reverse: reverse,
					}})
					if back.Origin.Hash != common.Hash(origin.Hash) || back.Origin.Number != origin.Number || back.Amount != amount || back.Skip != skip || back.Reverse != reverse {
						t.Fatalf("geth reads %+v as %+v", m, back)
					}
					got, err := DecodeGetBlockHeaders(m.Append(nil))
					means(t, got, m, err)
				}
			}
		}
	}
}

func tryBlockHeaders(t *testing.T, d draw, _ Version) {
	m := BlockHeaders{ID: d.uint()}
	var theirs []*types.Header
	for n := range eras {
		h := d.era(n)
		raw := encoded(t, h)
		m.Headers, theirs = append(m.Headers, raw), append(theirs, h)
		if got, err := ParseHeader(raw); err != nil || got.Ref != (chain.Ref{Number: h.Number.Uint64(), Hash: chain.Hash(h.Hash())}) || got.Parent != chain.Hash(h.ParentHash) || uint64(got.Time.Unix()) != h.Time {
			t.Fatalf("header of era %d = %+v, %v", n, got, err)
		}
	}
	back := agree(t, m.Append(nil), &gethproto.BlockHeadersPacket{RequestId: m.ID, List: list(t, theirs)})
	for i, h := range items(t, &back.List) {
		if h.Hash() != theirs[i].Hash() {
			t.Fatalf("geth reads another header %d", i)
		}
	}
	got, err := DecodeBlockHeaders(m.Append(nil), eras)
	means(t, got, m, err)
}

func tryGetBlockBodies(t *testing.T, d draw, _ Version) {
	m := GetBlockBodies{d.uint(), d.hashes(1 + d.IntN(200))}
	agree(t, m.Append(nil), &gethproto.GetBlockBodiesPacket{RequestId: m.ID, GetBlockBodiesRequest: commons(m.Hashes)})
	got, err := DecodeGetBlockBodies(m.Append(nil))
	means(t, got, m, err)
}

func tryBlockBodies(t *testing.T, d draw, _ Version) {
	m := BlockBodies{ID: d.uint()}
	var theirs []gethproto.BlockBody
	var txs [][]*types.Transaction
	for i := range 4 { // without anything, with transactions, uncles, withdrawals
		body := types.Body{}
		if i > 0 {
			body.Transactions = d.allTxs()
		}
		if i == 2 {
			body.Uncles = []*types.Header{d.era(0), d.era(1)}
		}
		if i == 3 {
			body.Withdrawals = []*types.Withdrawal{{Index: d.uint(), Validator: d.uint(), Address: common.Address(d.bytes(20)), Amount: d.uint()}}
		}
		geth := gethproto.BlockBody{Transactions: list(t, body.Transactions), Uncles: list(t, body.Uncles)}
		if body.Withdrawals != nil {
			l := list(t, body.Withdrawals)
			geth.Withdrawals = &l
		}
		m.Bodies, theirs, txs = append(m.Bodies, encoded(t, &body)), append(theirs, geth), append(txs, body.Transactions)
	}
	back := agree(t, m.Append(nil), &gethproto.BlockBodiesPacket{RequestId: m.ID, List: list(t, theirs)})
	for i, b := range items(t, &back.List) {
		sameTxs(t, items(t, &b.Transactions), txs[i])
		if n := len(items(t, &b.Uncles)); n != theirs[i].Uncles.Len() {
			t.Fatalf("geth reads %d uncles of body %d", n, i)
		}
		if b.Withdrawals != nil && len(items(t, b.Withdrawals)) != 1 {
			t.Fatalf("geth reads other withdrawals of body %d", i)
		}
	}
	got, err := DecodeBlockBodies(m.Append(nil), len(m.Bodies))
	means(t, got, m, err)
}

func tryNewBlock(t *testing.T, d draw, _ Version) {
	type packet struct { // of geth 1.13.15
		Block *types.Block
		TD    *big.Int
	}
	uncles := []*types.Header{d.era(0)}
	block := types.NewBlockWithHeader(d.era(1)).WithBody(types.Body{Transactions: d.allTxs(), Uncles: uncles[:d.IntN(2)]})
	td := new(big.Int).SetUint64(d.uint())
	head, body, err := SplitBlock(encoded(t, block))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(body, encoded(t, block.Body())) {
		t.Fatalf("SplitBlock = %x, want geth's body", body)
	}
	m := NewBlock{Header: head, Body: body, Difficulty: chain.WeightOf(td.Uint64())}
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	back := agree(t, b, &packet{block, td})
	if back.Block.Hash() != block.Hash() || len(back.Block.Uncles()) != len(block.Uncles()) || back.TD.Cmp(td) != 0 {
		t.Fatalf("geth reads block %v of %v", back.Block.Hash(), back.TD)
	}
	sameTxs(t, back.Block.Transactions(), block.Transactions())
	got, err := DecodeNewBlock(b)
	means(t, got, m, err)
}

func tryAnnouncements(t *testing.T, d draw, _ Version) {
	m := NewPooledTransactionHashes{}
	theirs := gethproto.NewPooledTransactionHashesPacket71{}
	for range 1 + d.IntN(300) {
		a := Announced{Hash: d.hash(), Kind: byte(d.IntN(5)), Size: uint32(d.uint())}
		m.Txs = append(m.Txs, a)
		theirs.Types, theirs.Sizes, theirs.Hashes = append(theirs.Types, a.Kind), append(theirs.Sizes, a.Size), append(theirs.Hashes, common.Hash(a.Hash))
	}
	agree(t, m.Append(nil), &theirs)
	got, err := DecodeNewPooledTransactionHashes(m.Append(nil))
	means(t, got, m, err)
}

func tryGetPooledTransactions(t *testing.T, d draw, _ Version) {
	m := GetPooledTransactions{d.uint(), d.hashes(1 + d.IntN(200))}
	agree(t, m.Append(nil), &gethproto.GetPooledTransactionsPacket{RequestId: m.ID, GetPooledTransactionsRequest: commons(m.Hashes)})
	got, err := DecodeGetPooledTransactions(m.Append(nil))
	means(t, got, m, err)
}

// tryPooledTransactions has blobs in it, with the sidecars of both versions.
func tryPooledTransactions(t *testing.T, d draw, _ Version) {
	txs := append(d.allTxs(), d.blobTx(d.sidecar(types.BlobSidecarVersion0)), d.blobTx(d.sidecar(types.BlobSidecarVersion1)))
	m := PooledTransactions{d.uint(), raws(t, txs)}
	back := agree(t, m.Append(nil), &gethproto.PooledTransactionsPacket{RequestId: m.ID, List: list(t, txs)})
	sameTxs(t, items(t, &back.List), txs)
	got, err := DecodePooledTransactions(m.Append(nil), len(txs))
	means(t, got, m, err)
}

func tryGetReceipts(t *testing.T, d draw, v Version) {
	m := GetReceipts{ID: d.uint(), Hashes: d.hashes(1 + d.IntN(200))}
	if v < V70 {
		agree(t, m.Append(nil, v), &gethproto.GetReceiptsPacket69{RequestId: m.ID, GetReceiptsRequest: commons(m.Hashes)})
	} else {
		m.First = d.uint()
		agree(t, m.Append(nil, v), &gethproto.GetReceiptsPacket70{RequestId: m.ID, FirstBlockReceiptIndex: m.First, GetReceiptsRequest: commons(m.Hashes)})
	}
	got, err := DecodeGetReceipts(m.Append(nil, v), v)
	means(t, got, m, err)
}

// tryReceipts compares them with bloom (68), without (69) and paged (70): there
// the last block is also cut into pages, which geth and we join again.
func tryReceipts(t *testing.T, d draw, v Version) {
	m := Receipts{ID: d.uint()}
	var blocks []types.Receipts
	var lists []*gethproto.ReceiptList
	for n := range 4 {
		rs := d.receipts(6 * n)
		for _, r := range rs {
			if r.Type == 3 {
				r.Type = types.SetCodeTxType - byte(d.IntN(2))
			}
		}
		l := gethproto.NewReceiptList(rs)
		blocks, lists, m.Blocks = append(blocks, rs), append(lists, l), append(m.Blocks, encoded(t, l))
	}
	ours := func() []byte {
		b, err := m.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var back []*gethproto.ReceiptList
	switch v {
	case V68: // the packet of geth 1.13.15
		type packet struct {
			ID   uint64
			List []types.Receipts
		}
		for i, rs := range agree(t, ours(), &packet{m.ID, blocks}).List {
			if root(rs) != root(blocks[i]) {
				t.Fatalf("geth reads other receipts of block %d", i)
			}
		}
	case V69:
		p := agree(t, ours(), &gethproto.ReceiptsPacket69{RequestId: m.ID, List: list(t, lists)})
		back = items(t, &p.List)
	case V70:
		p := agree(t, ours(), &gethproto.ReceiptsPacket70{RequestId: m.ID, List: list(t, lists)})
		back = items(t, &p.List)
		tryPages(t, d, m.Blocks[3], blocks[3])
	}
	for i, l := range back {
		if root(l.Derivable()) != root(blocks[i]) {
			t.Fatalf("geth reads other receipts of block %d", i)
		}
	}
	for i, block := range m.Blocks {
		alone, err := Receipts{ID: 1, Blocks: [][]byte{block}}.Append(nil, V68)
		if err != nil {
			t.Fatal(err)
		}
		c := message(alone)
		c.uint()
		want := len(c.raw()) // the list of this one block
		if n, err := ReceiptsSize(block, V68); err != nil || listSize(n) != want {
			t.Fatalf("the receipts of block %d take %d bytes under eth/68, %v; want what makes a list of %d", i, n, err, want)
		}
		if n, err := ReceiptsSize(block, v); v != V68 && (err != nil || n != len(block)) {
			t.Fatalf("the receipts of block %d take %d bytes under %v, %v; want %d", i, n, v, err, len(block))
		}
	}
	got, err := DecodeReceipts(ours(), v, len(m.Blocks))
	means(t, got, m, err)
}

// tryPages sends a block's receipts page by page.
func tryPages(t *testing.T, d draw, block []byte, want types.Receipts) {
	joined := PagesOf(nil)
	theirs := gethproto.NewReceiptList(nil)
	for first, more := 0, true; more; {
		var part []byte
		var err error
		if part, more, err = CutReceipts(block, uint64(first), len(block)/2); err != nil || CountReceipts(part) == 0 {
			t.Fatalf("page from %d on: %d receipts, %v", first, CountReceipts(part), err)
		}
		m := Receipts{ID: d.uint(), Incomplete: more, Blocks: [][]byte{part}}
		b, err := m.Append(nil, V70)
		if err != nil {
			t.Fatal(err)
		}
		var page gethproto.ReceiptsPacket70
		if err := rlp.DecodeBytes(b, &page); err != nil || page.LastBlockIncomplete != more || page.RequestId != m.ID {
			t.Fatalf("geth reads the page from %d on as %+v, %v", first, page, err)
		}
		theirs.Append(items(t, &page.List)[0])
		got, err := DecodeReceipts(b, V70, 1)
		means(t, got, m, err)
		if err := joined.Add(part, more, func(int) error { return nil }); err != nil {
			t.Fatal(err)
		}
		first += CountReceipts(part)
	}
	if !bytes.Equal(joined.List(), block) || root(theirs.Derivable()) != root(want) {
		t.Fatal("the pages do not make the block's receipts again")
	}
}

func tryBlockRangeUpdate(t *testing.T, d draw, _ Version) {
	m := BlockRangeUpdate{Earliest: d.uint() >> 1, Latest: chain.Ref{Hash: d.hash()}}
	m.Latest.Number = m.Earliest + d.uint()>>1
	agree(t, m.Append(nil), &gethproto.BlockRangeUpdatePacket{EarliestBlock: m.Earliest, LatestBlock: m.Latest.Number, LatestBlockHash: common.Hash(m.Latest.Hash)})
	got, err := DecodeBlockRangeUpdate(m.Append(nil))
	means(t, got, m, err)
}
