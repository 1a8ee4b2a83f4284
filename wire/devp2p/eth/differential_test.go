package eth

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	gethproto "github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// same compares our payload with geth's, and lets geth decode it into v.
func same(t *testing.T, what string, ours []byte, theirs any, into any) {
	t.Helper()
	want := encoded(t, theirs)
	if !bytes.Equal(ours, want) {
		t.Fatalf("%s:\n ours %x\n geth %x", what, ours, want)
	}
	if err := rlp.DecodeBytes(ours, into); err != nil {
		t.Fatalf("%s: geth cannot decode ours: %v", what, err)
	}
}

type draw struct{ *rand.Rand }

func (d draw) hash() (h chain.Hash) {
	for i := range h {
		h[i] = byte(d.Uint32())
	}
	return h
}

func (d draw) hashes(n int) []chain.Hash {
	hs := make([]chain.Hash, n)
	for i := range hs {
		hs[i] = d.hash()
	}
	return hs
}

func (d draw) uint() uint64 { return d.Uint64() >> d.UintN(64) }

func (d draw) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return b
}

func commons(hs []chain.Hash) []common.Hash {
	out := make([]common.Hash, len(hs))
	for i, h := range hs {
		out[i] = common.Hash(h)
	}
	return out
}

func (d draw) header() *types.Header {
	h := &types.Header{
		ParentHash: common.Hash(d.hash()), UncleHash: types.EmptyUncleHash, Root: common.Hash(d.hash()),
		TxHash: types.EmptyTxsHash, ReceiptHash: types.EmptyReceiptsHash,
		Difficulty: new(big.Int).SetUint64(d.uint()), Number: new(big.Int).SetUint64(d.uint()),
		GasLimit: d.uint(), GasUsed: d.uint(), Time: d.uint() >> 2, Extra: d.bytes(d.IntN(97)),
	}
	if d.IntN(2) == 0 {
		h.BaseFee = new(big.Int).SetUint64(d.uint())
		root := types.EmptyWithdrawalsHash
		h.WithdrawalsHash = &root
	}
	return h
}

func (d draw) tx() *types.Transaction {
	to := common.Address(d.bytes(20))
	v, r, s := big.NewInt(int64(d.IntN(2))), new(big.Int).SetUint64(d.uint()+1), new(big.Int).SetUint64(d.uint()+1)
	switch d.IntN(3) {
	case 0:
		return types.NewTx(&types.LegacyTx{Nonce: d.uint(), GasPrice: big.NewInt(int64(d.uint() >> 1)), Gas: d.uint(), To: &to, Value: big.NewInt(1), Data: d.bytes(d.IntN(200)), V: big.NewInt(27), R: r, S: s})
	case 1:
		return types.NewTx(&types.AccessListTx{ChainID: big.NewInt(1), Nonce: d.uint(), GasPrice: big.NewInt(5), To: &to, Value: new(big.Int), V: v, R: r, S: s})
	}
	return types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(1), Nonce: d.uint(), GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(9), Value: new(big.Int), Data: d.bytes(d.IntN(60)), V: v, R: r, S: s})
}

func (d draw) receipts(n int) types.Receipts {
	rs := make(types.Receipts, n)
	for i := range rs {
		r := &types.Receipt{Type: []uint8{0, 1, 2, 3}[d.IntN(4)], Status: uint64(d.IntN(2)), CumulativeGasUsed: d.uint()}
		if r.Type == 0 && d.IntN(3) == 0 {
			r.PostState = d.bytes(32)
		}
		for range d.IntN(4) {
			l := &types.Log{Address: common.Address(d.bytes(20)), Data: d.bytes(d.IntN(100))}
			for range d.IntN(5) {
				l.Topics = append(l.Topics, common.Hash(d.hash()))
			}
			r.Logs = append(r.Logs, l)
		}
		r.Bloom = types.CreateBloom(r)
		rs[i] = r
	}
	return rs
}

// TestMessagesAreThoseOfGeth compares each message, drawn at random, with
// go-ethereum's packet types, both ways.
func TestMessagesAreThoseOfGeth(t *testing.T) {
	for seed := range uint64(100) {
		d := draw{rand.New(rand.NewPCG(seed, 7))}
		compareStatus(t, d)
		compareRequests(t, d)
		compareAnswers(t, d)
		compareGossip(t, d)
		compareReceipts(t, d)
	}
}

func compareStatus(t *testing.T, d draw) {
	s := Status{Version: 69, Network: d.uint(), Genesis: d.hash(), Fork: ForkID{[4]byte(d.bytes(4)), d.uint()}, Head: d.hash(), Earliest: d.uint(), Latest: d.uint()}
	id := forkid.ID{Hash: s.Fork.Sum, Next: s.Fork.Next}
	b := s.Append(nil, V69)
	same(t, "status 69", b, &gethproto.StatusPacket{
		ProtocolVersion: 69, NetworkID: s.Network, Genesis: common.Hash(s.Genesis), ForkID: id,
		EarliestBlock: s.Earliest, LatestBlock: s.Latest, LatestBlockHash: common.Hash(s.Head),
	}, new(gethproto.StatusPacket))
	if got, err := DecodeStatus(b, V69); err != nil || got != s {
		t.Fatalf("status 69 = %+v, %v; want %+v", got, err, s)
	}
	s = Status{Version: 68, Network: d.uint(), Difficulty: chain.WeightOf(d.uint()), Head: d.hash(), Genesis: d.hash(), Fork: s.Fork}
	b = s.Append(nil, V68)
	// The packet of geth 1.13.15, which the library has no more.
	type status68 struct {
		ProtocolVersion uint32
		NetworkID       uint64
		TD              *big.Int
		Head, Genesis   common.Hash
		ForkID          forkid.ID
	}
	same(t, "status 68", b, &status68{68, s.Network, s.Difficulty.Big(), common.Hash(s.Head), common.Hash(s.Genesis), id}, new(status68))
	if got, err := DecodeStatus(b, V68); err != nil || got != s {
		t.Fatalf("status 68 = %+v, %v; want %+v", got, err, s)
	}
	u := BlockRangeUpdate{Earliest: 3, Latest: chain.Ref{Number: 3 + d.uint()>>1, Hash: d.hash()}}
	b = u.Append(nil)
	same(t, "block range", b, &gethproto.BlockRangeUpdatePacket{EarliestBlock: 3, LatestBlock: u.Latest.Number, LatestBlockHash: common.Hash(u.Latest.Hash)}, new(gethproto.BlockRangeUpdatePacket))
	if got, err := DecodeBlockRangeUpdate(b); err != nil || got != u {
		t.Fatalf("block range = %+v, %v", got, err)
	}
}

func compareRequests(t *testing.T, d draw) {
	q := GetBlockHeaders{ID: d.uint(), Amount: d.uint(), Skip: d.uint(), Reverse: d.IntN(2) == 0}
	if d.IntN(2) == 0 {
		q.Origin.Hash = d.hash()
	} else {
		q.Origin.Number = d.uint()
	}
	b := q.Append(nil)
	same(t, "header request", b, &gethproto.GetBlockHeadersPacket{RequestId: q.ID, GetBlockHeadersRequest: &gethproto.GetBlockHeadersRequest{
		Origin: gethproto.HashOrNumber{Hash: common.Hash(q.Origin.Hash), Number: q.Origin.Number}, Amount: q.Amount, Skip: q.Skip, Reverse: q.Reverse,
	}}, new(gethproto.GetBlockHeadersPacket))
	if got, err := DecodeGetBlockHeaders(b); err != nil || got != q {
		t.Fatalf("header request = %+v, %v; want %+v", got, err, q)
	}
	id, hs := d.uint(), d.hashes(d.IntN(20))
	b = GetBlockBodies{id, hs}.Append(nil)
	same(t, "body request", b, &gethproto.GetBlockBodiesPacket{RequestId: id, GetBlockBodiesRequest: commons(hs)}, new(gethproto.GetBlockBodiesPacket))
	if got, err := DecodeGetBlockBodies(b); err != nil || got.ID != id || len(got.Hashes) != len(hs) {
		t.Fatalf("body request = %+v, %v", got, err)
	}
	b = GetPooledTransactions{id, hs}.Append(nil)
	same(t, "transaction request", b, &gethproto.GetPooledTransactionsPacket{RequestId: id, GetPooledTransactionsRequest: commons(hs)}, new(gethproto.GetPooledTransactionsPacket))
	if got, err := DecodeGetPooledTransactions(b); err != nil || got.ID != id || len(got.Hashes) != len(hs) {
		t.Fatalf("transaction request = %+v, %v", got, err)
	}
	b = GetReceipts{ID: id, Hashes: hs}.Append(nil, V69)
	same(t, "receipt request 69", b, &gethproto.GetReceiptsPacket69{RequestId: id, GetReceiptsRequest: commons(hs)}, new(gethproto.GetReceiptsPacket69))
	g := GetReceipts{ID: id, First: d.uint(), Hashes: hs}
	b = g.Append(nil, V70)
	same(t, "receipt request 70", b, &gethproto.GetReceiptsPacket70{RequestId: id, FirstBlockReceiptIndex: g.First, GetReceiptsRequest: commons(hs)}, new(gethproto.GetReceiptsPacket70))
	if got, err := DecodeGetReceipts(b, V70); err != nil || got.ID != id || got.First != g.First || len(got.Hashes) != len(hs) {
		t.Fatalf("receipt request 70 = %+v, %v", got, err)
	}
}

func compareAnswers(t *testing.T, d draw) {
	id := d.uint()
	headers := BlockHeaders{ID: id}
	var raws gethproto.BlockHeadersRLPResponse
	for range d.IntN(5) {
		h := d.header()
		raw := encoded(t, h)
		headers.Headers = append(headers.Headers, raw)
		raws = append(raws, raw)
		got, err := ParseHeader(raw)
		if err != nil || got.Ref.Number != h.Number.Uint64() || got.Ref.Hash != chain.Hash(h.Hash()) || got.Parent != chain.Hash(h.ParentHash) || uint64(got.Time.Unix()) != h.Time {
			t.Fatalf("header = %+v, %v; want %+v", got, err, h)
		}
	}
	b := headers.Append(nil)
	same(t, "headers", b, &gethproto.BlockHeadersRLPPacket{RequestId: id, BlockHeadersRLPResponse: raws}, new(gethproto.BlockHeadersPacket))
	if got, err := DecodeBlockHeaders(b, 5); err != nil || got.ID != id || len(got.Headers) != len(raws) {
		t.Fatalf("headers = %+v, %v", got, err)
	}
	bodies := BlockBodies{ID: id}
	var rawBodies gethproto.BlockBodiesRLPResponse
	for range d.IntN(4) {
		body := types.Body{}
		for range d.IntN(4) {
			body.Transactions = append(body.Transactions, d.tx())
		}
		if d.IntN(2) == 0 {
			body.Uncles = append(body.Uncles, d.header())
		}
		if d.IntN(2) == 0 {
			body.Withdrawals = []*types.Withdrawal{{Index: d.uint(), Validator: 2, Address: common.Address(d.bytes(20)), Amount: d.uint()}}
		}
		raw := encoded(t, &body)
		bodies.Bodies = append(bodies.Bodies, raw)
		rawBodies = append(rawBodies, raw)
	}
	b = bodies.Append(nil)
	same(t, "bodies", b, &gethproto.BlockBodiesRLPPacket{RequestId: id, BlockBodiesRLPResponse: rawBodies}, new(gethproto.BlockBodiesPacket))
	got, err := DecodeBlockBodies(b, 4)
	if err != nil || got.ID != id || len(got.Bodies) != len(rawBodies) {
		t.Fatalf("bodies = %+v, %v", got, err)
	}
	for i := range rawBodies {
		if !bytes.Equal(got.Bodies[i], rawBodies[i]) {
			t.Fatalf("body %d differs", i)
		}
	}
}

func compareGossip(t *testing.T, d draw) {
	var txs types.Transactions
	var raw [][]byte
	var announced NewPooledTransactionHashes
	geth := gethproto.NewPooledTransactionHashesPacket71{}
	for range d.IntN(6) {
		tx := d.tx()
		b, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		txs, raw = append(txs, tx), append(raw, b)
		if TxKind(b) != tx.Type() {
			t.Fatalf("TxKind = %d, want %d", TxKind(b), tx.Type())
		}
		announced.Txs = append(announced.Txs, Announced{chain.Hash(tx.Hash()), tx.Type(), uint32(tx.Size())})
		geth.Types, geth.Sizes, geth.Hashes = append(geth.Types, tx.Type()), append(geth.Sizes, uint32(tx.Size())), append(geth.Hashes, tx.Hash())
	}
	b := Transactions{raw}.Append(nil)
	same(t, "transactions", b, txs, new(gethproto.TransactionsPacket))
	got, err := DecodeTransactions(b)
	if err != nil || len(got.Txs) != len(raw) {
		t.Fatalf("transactions: %v", err)
	}
	for i := range raw {
		if !bytes.Equal(got.Txs[i], raw[i]) {
			t.Fatalf("transaction %d differs", i)
		}
	}
	id := d.uint()
	b = PooledTransactions{id, raw}.Append(nil)
	same(t, "pooled transactions", b, &struct {
		ID  uint64
		Txs types.Transactions
	}{id, txs}, new(gethproto.PooledTransactionsPacket))
	if got, err := DecodePooledTransactions(b, 6); err != nil || got.ID != id || len(got.Txs) != len(raw) {
		t.Fatalf("pooled transactions: %v", err)
	}
	b = announced.Append(nil)
	same(t, "announcements", b, &geth, new(gethproto.NewPooledTransactionHashesPacket71))
	if got, err := DecodeNewPooledTransactionHashes(b); err != nil || len(got.Txs) != len(raw) || len(raw) > 0 && got.Txs[0] != announced.Txs[0] {
		t.Fatalf("announcements = %+v, %v", got, err)
	}
	// NewBlock and NewBlockHashes as geth 1.13.15 has them.
	h := d.header()
	block := types.NewBlockWithHeader(h).WithBody(types.Body{Transactions: txs})
	td := new(big.Int).SetUint64(d.uint())
	head, body, err := SplitBlock(encoded(t, block))
	if err != nil || chain.Hash(block.Hash()) != mustHash(t, head) || !bytes.Equal(body, encoded(t, block.Body())) {
		t.Fatalf("SplitBlock: %v", err)
	}
	n := NewBlock{Header: head, Body: body, Difficulty: chain.WeightOf(td.Uint64())}
	if b, err = n.Append(nil); err != nil {
		t.Fatal(err)
	}
	type packet struct {
		Block *types.Block
		TD    *big.Int
	}
	same(t, "new block", b, &packet{block, td}, new(packet))
	if got, err := DecodeNewBlock(b); err != nil || !bytes.Equal(got.Body, body) || !bytes.Equal(got.Header, head) || got.Difficulty != n.Difficulty {
		t.Fatalf("new block = %+v, %v", got, err)
	}
	type ref struct {
		Hash   common.Hash
		Number uint64
	}
	var refs []ref
	var hashes NewBlockHashes
	for range d.IntN(4) {
		r := chain.Ref{Number: d.uint(), Hash: d.hash()}
		refs, hashes.Blocks = append(refs, ref{common.Hash(r.Hash), r.Number}), append(hashes.Blocks, r)
	}
	b = hashes.Append(nil)
	same(t, "new block hashes", b, refs, new([]ref))
	if got, err := DecodeNewBlockHashes(b); err != nil || len(got.Blocks) != len(refs) {
		t.Fatalf("new block hashes = %+v, %v", got, err)
	}
}

func mustHash(t *testing.T, raw []byte) chain.Hash {
	t.Helper()
	h, err := ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	return h.Ref.Hash
}

func compareReceipts(t *testing.T, d draw) {
	var old []types.Receipts
	var lists []*gethproto.ReceiptList
	m := Receipts{ID: d.uint(), Incomplete: d.IntN(2) == 0}
	for range d.IntN(4) {
		rs := d.receipts(d.IntN(5))
		list := gethproto.NewReceiptList(rs)
		old, lists = append(old, rs), append(lists, list)
		m.Blocks = append(m.Blocks, encoded(t, list))
	}
	for _, v := range []Version{V68, V69, V70} {
		var theirs, into any
		switch v {
		case V68: // the packet of geth 1.13.15
			type packet struct {
				ID   uint64
				List []types.Receipts
			}
			theirs, into = &packet{m.ID, old}, new(packet)
		case V69:
			theirs, into = &struct {
				ID   uint64
				List []*gethproto.ReceiptList
			}{m.ID, lists}, new(gethproto.ReceiptsPacket69)
		case V70:
			theirs, into = &struct {
				ID   uint64
				More bool
				List []*gethproto.ReceiptList
			}{m.ID, m.Incomplete, lists}, new(gethproto.ReceiptsPacket70)
		}
		b, err := m.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "receipts of "+v.String(), b, theirs, into)
		got, err := DecodeReceipts(b, v, 4)
		if err != nil || got.ID != m.ID || len(got.Blocks) != len(m.Blocks) || got.Incomplete != (v == V70 && m.Incomplete) {
			t.Fatalf("receipts of %v = %+v, %v", v, got, err)
		}
		for i := range m.Blocks {
			if !bytes.Equal(got.Blocks[i], m.Blocks[i]) {
				t.Fatalf("receipts of %v, block %d:\n got %x\nwant %x", v, i, got.Blocks[i], m.Blocks[i])
			}
		}
	}
}
