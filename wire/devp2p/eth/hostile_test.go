package eth

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// decoders are all of them, with the encoding of what they read.
var decoders = map[string]func(b []byte) ([]byte, error){
	"status 68": func(b []byte) ([]byte, error) { m, err := DecodeStatus(b, V68); return m.Append(nil, V68), err },
	"status 69": func(b []byte) ([]byte, error) { m, err := DecodeStatus(b, V69); return m.Append(nil, V69), err },
	"block range": func(b []byte) ([]byte, error) {
		m, err := DecodeBlockRangeUpdate(b)
		return m.Append(nil), err
	},
	"get headers": func(b []byte) ([]byte, error) { m, err := DecodeGetBlockHeaders(b); return m.Append(nil), err },
	"headers":     func(b []byte) ([]byte, error) { m, err := DecodeBlockHeaders(b, 1024); return m.Append(nil), err },
	"get bodies":  func(b []byte) ([]byte, error) { m, err := DecodeGetBlockBodies(b); return m.Append(nil), err },
	"bodies":      func(b []byte) ([]byte, error) { m, err := DecodeBlockBodies(b, 1024); return m.Append(nil), err },
	"hashes":      func(b []byte) ([]byte, error) { m, err := DecodeNewBlockHashes(b); return m.Append(nil), err },
	"block": func(b []byte) ([]byte, error) {
		m, err := DecodeNewBlock(b)
		if err != nil {
			return nil, err
		}
		return m.Append(nil)
	},
	"txs":     func(b []byte) ([]byte, error) { m, err := DecodeTransactions(b); return m.Append(nil), err },
	"get txs": func(b []byte) ([]byte, error) { m, err := DecodeGetPooledTransactions(b); return m.Append(nil), err },
	"pooled": func(b []byte) ([]byte, error) {
		m, err := DecodePooledTransactions(b, 1024)
		return m.Append(nil), err
	},
	"announced": func(b []byte) ([]byte, error) {
		m, err := DecodeNewPooledTransactionHashes(b)
		return m.Append(nil), err
	},
	"get receipts 69": func(b []byte) ([]byte, error) { m, err := DecodeGetReceipts(b, V69); return m.Append(nil, V69), err },
	"get receipts 70": func(b []byte) ([]byte, error) { m, err := DecodeGetReceipts(b, V70); return m.Append(nil, V70), err },
	"receipts 68":     receiptsAs(V68),
	"receipts 69":     receiptsAs(V69),
	"receipts 70":     receiptsAs(V70),
	"header": func(b []byte) ([]byte, error) {
		h, err := ParseHeader(b)
		return h.Bytes, err
	},
}

func receiptsAs(v Version) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		m, err := DecodeReceipts(b, v, 1024)
		if err != nil {
			return nil, err
		}
		return m.Append(nil, v)
	}
}

// isFault checks that an error is a peer's fault.
func isFault(t *testing.T, what string, err error) {
	t.Helper()
	var f *wire.Fault
	if !errors.As(err, &f) || f.Offense != peer.BadEncoding {
		t.Errorf("%s: %v, want a fault of bad encoding", what, err)
	}
}

// Threats M-07 and M-08: bytes left over, numbers that are not canonical and
// deep nesting are faults in every message.
func TestMalformedMessagesAreFaults(t *testing.T) {
	deep := bytes.Repeat([]byte{0xc1}, 1000)
	deep = append(deep, 0xc0)
	for name, decode := range decoders {
		for what, b := range map[string][]byte{
			"nothing": {}, "a string": {0x83, 1, 2, 3}, "a byte": {1}, "an empty list": {0xc0},
			"a head cut short": {0xf9, 1}, "a length past the end": {0xfb, 0xff, 0xff, 0xff, 0xff},
			"the longest length":            append([]byte{0xff}, bytes.Repeat([]byte{0xff}, 8)...),
			"a long form of a short length": {0xf8, 1, 0x80}, "zeros in front": {0xc3, 0x82, 0, 1}, "deep lists": deep,
		} {
			if what == "an empty list" && (name == "txs" || name == "hashes") {
				continue // which say nothing, legally
			}
			_, err := decode(b)
			isFault(t, name+", "+what, err)
		}
	}
	for name, b := range seeds(t) {
		if _, err := decoders[name](b); err != nil {
			t.Errorf("%s: the seed fails: %v", name, err)
		}
		_, err := decoders[name](append(bytes.Clone(b), 0))
		isFault(t, name+", a byte behind", err)
		for n := range b {
			if _, err := decoders[name](b[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes decode", name, n, len(b))
			}
		}
	}
}

// Threats M-04 and M-05: counts over the limits are refused before room is made
// for them, and those beyond what is served are left away.
func TestCountsAreBoundedBeforeRoomIsMade(t *testing.T) {
	many := func(n int, item []byte) []byte { return bytes.Repeat(item, n) }
	list := func(content []byte) []byte { return append(appendHead(nil, len(content)), content...) }
	const most = 1 << 20
	empties := list(append([]byte{1}, list(many(most, []byte{0xc0}))...))
	for name, b := range map[string][]byte{
		"headers":    empties,
		"bodies":     empties,
		"pooled":     list(append([]byte{1}, list(many(most, []byte{0x82, 2, 3}))...)),
		"txs":        list(many(most, []byte{0xc0})),
		"hashes":     list(many(most, []byte{0xc0})),
		"receipts 6": nil,
	} {
		if b == nil {
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := decoders[name](b)
		runtime.ReadMemStats(&after)
		isFault(t, name, err)
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
			t.Errorf("%s: %d items in %d bytes allocated %d", name, most, len(b), got)
		}
	}
	// A body of a million empty transactions is not believed.
	body := list(append(list(many(most, []byte{0xc0})), 0xc0))
	_, err := DecodeBlockBodies(list(append([]byte{1}, list(body)...)), 1)
	isFault(t, "a body of empty transactions", err)

	asked := make([]chain.Hash, 5000)
	if m, err := DecodeGetBlockBodies(GetBlockBodies{1, asked}.Append(nil)); err != nil || len(m.Hashes) != MaxBodies {
		t.Errorf("5000 bodies asked for: %d are kept, %v", len(m.Hashes), err)
	}
	if m, err := DecodeGetPooledTransactions(GetPooledTransactions{1, asked}.Append(nil)); err != nil || len(m.Hashes) != MaxTxLookups {
		t.Errorf("5000 transactions asked for: %d are kept, %v", len(m.Hashes), err)
	}
	// CVE-2024-32972: the amount is a number and no more, whatever it is.
	for _, n := range []uint64{0, 1, 1024, 1025, 1 << 63, math.MaxUint64} {
		m, err := DecodeGetBlockHeaders(GetBlockHeaders{ID: 1, Origin: chain.Ref{Number: n}, Amount: n, Skip: n}.Append(nil))
		if err != nil || m.Amount != n || m.Skip != n || m.Origin.Number != n {
			t.Errorf("amount %d = %+v, %v", n, m, err)
		}
	}
}

// Threat T-03: of a flood of announcements the first are looked at.
func TestAnnouncementsBeyondTheLimitAreCounted(t *testing.T) {
	m := NewPooledTransactionHashes{Txs: make([]Announced, 10000)}
	for i := range m.Txs {
		m.Txs[i] = Announced{Hash: chain.Hash{byte(i), byte(i >> 8)}, Size: 100}
	}
	got, err := DecodeNewPooledTransactionHashes(m.Append(nil))
	if err != nil || len(got.Txs) != MaxAnnounced || got.Excess != 10000-MaxAnnounced {
		t.Errorf("%d announced, %d in excess: %v", len(got.Txs), got.Excess, err)
	}
	b := m.Append(nil)
	b[3]++ // of the types there is one more
	_, err = DecodeNewPooledTransactionHashes(b)
	isFault(t, "unequal lists", err)
}

func TestRangesThatAreNoneAreFaults(t *testing.T) {
	isFault(t, "backwards", CheckRange(5, chain.Ref{Number: 4, Hash: chain.Hash{1}}))
	isFault(t, "no hash", CheckRange(0, chain.Ref{Number: 4}))
	if err := CheckRange(0, chain.Ref{Number: math.MaxUint64, Hash: chain.Hash{1}}); err != nil {
		t.Errorf("a range past our head: %v", err)
	}
	over := Status{Version: 68, Difficulty: chain.Weight{0x10}}.Append(nil, V68)
	_, err := DecodeStatus(over, V68)
	isFault(t, "difficulty over 100 bits", err)
}

func TestReceiptsAreCutAndJoined(t *testing.T) {
	block := seeds(t)["receipts 69"]
	c := message(block)
	c.uint()
	in := c.list()
	whole := in.raw()
	total := CountReceipts(whole)
	joined, taken := PagesOf(nil), 0
	for more := true; more; {
		var part []byte
		var err error
		if part, more, err = CutReceipts(whole, joined.Count(), len(whole)/3); err != nil {
			t.Fatal(err)
		}
		if err := joined.Add(part, more, func(n int) error { taken = n; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	list := joined.List()
	if !bytes.Equal(list, whole) || joined.Count() != uint64(total) || total < 6 {
		t.Errorf("%d receipts were joined, want %d", joined.Count(), total)
	}
	if taken < len(list) || taken > 2*len(list)+maxHead {
		t.Errorf("%d bytes were asked for, to hold %d", taken, len(list))
	}
}

// seeds are valid messages of each kind.
func seeds(t testing.TB) map[string][]byte {
	h := chain.Hash{1, 2, 3}
	header := func() []byte {
		var in []byte
		in = appendHash(in, h)
		for i := 1; i < 15; i++ {
			in = rlp.AppendUint64(in, uint64(i))
		}
		return append(appendHead(nil, len(in)), in...)
	}()
	body := []byte{0xcd, 0xcb, 0xca, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xc0}
	log := appendHead(nil, 21+1+1)
	log = append(appendBytes(log, make([]byte, 20)), 0xc0, 0x80)
	var receipts []byte
	for i := range 6 {
		r := receipt{kind: uint64(i % 3), status: []byte{1}, gas: uint64(21000 * (i + 1)), logs: append(appendHead(nil, len(log)), log...)}
		receipts = r.append(receipts)
	}
	receipts = append(appendHead(nil, len(receipts)), receipts...)
	as := func(v Version) []byte {
		b, err := Receipts{ID: 9, Blocks: [][]byte{receipts}}.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, err := NewBlock{Header: header, Body: body, Difficulty: chain.WeightOf(1 << 40)}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"status 68":       Status{Version: 68, Network: 1, Genesis: h, Head: h, Difficulty: chain.WeightOf(77777)}.Append(nil, V68),
		"status 69":       Status{Version: 69, Network: 1, Genesis: h, Head: h, Latest: 300}.Append(nil, V69),
		"block range":     BlockRangeUpdate{Latest: chain.Ref{Number: 300, Hash: h}}.Append(nil),
		"get headers":     GetBlockHeaders{ID: 4, Origin: chain.Ref{Hash: h}, Amount: 192, Reverse: true}.Append(nil),
		"headers":         BlockHeaders{ID: 4, Headers: [][]byte{header, header}}.Append(nil),
		"get bodies":      GetBlockBodies{ID: 4, Hashes: []chain.Hash{h}}.Append(nil),
		"bodies":          BlockBodies{ID: 4, Bodies: [][]byte{body}}.Append(nil),
		"hashes":          NewBlockHashes{Blocks: []chain.Ref{{Number: 300, Hash: h}}}.Append(nil),
		"block":           block,
		"txs":             Transactions{Txs: [][]byte{{2, 0xc0}, {0xc1, 9}}}.Append(nil),
		"get txs":         GetPooledTransactions{ID: 5, Hashes: []chain.Hash{h}}.Append(nil),
		"pooled":          PooledTransactions{ID: 5, Txs: [][]byte{{2, 0xc0}, {0xc1, 9}}}.Append(nil),
		"announced":       NewPooledTransactionHashes{Txs: []Announced{{h, 2, 300}, {h, 0, 100}}}.Append(nil),
		"get receipts 69": GetReceipts{ID: 6, Hashes: []chain.Hash{h}}.Append(nil, V69),
		"get receipts 70": GetReceipts{ID: 6, First: 3, Hashes: []chain.Hash{h}}.Append(nil, V70),
		"receipts 68":     as(V68),
		"receipts 69":     as(V69),
		"receipts 70":     as(V70),
		"header":          header,
	}
}
