package opstack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// opPayload is what op-node makes of an envelope.
type opPayload struct {
	Error string          `json:"error"`
	SSZ   string          `json:"ssz"`
	Hash  string          `json:"hash"`
	JSON  json.RawMessage `json:"json"`
}

// ssz asks op-node about envelopes.
func (n *opNode) ssz(t *testing.T, params map[string]any) (out []opPayload) {
	t.Helper()
	n.Do(map[string]any{"do": "ssz", "params": params}, &out)
	return out
}

// drawn is an envelope at random, but for its hash, which is right.
func drawn(t *testing.T, r *rand.Rand, v codec.Version) *codec.Envelope {
	t.Helper()
	var txs [][]byte
	for range r.IntN(40) {
		tx := make([]byte, 1+r.IntN(1<<r.IntN(12)))
		for i := range tx {
			tx[i] = byte(r.Uint32())
		}
		txs = append(txs, tx)
	}
	h := func() (h chain.Hash) {
		for i := range h {
			h[i] = byte(r.Uint32())
		}
		return h
	}
	e, err := codec.Draft{Version: v, Parent: chain.Ref{Number: r.Uint64N(1 << 62), Hash: h()}, Time: r.Uint64() >> 34, Txs: txs}.Envelope()
	if err != nil {
		t.Fatal(err)
	}
	e.StateRoot, e.ReceiptsRoot, e.PrevRandao = h(), h(), h()
	for i := range e.LogsBloom {
		e.LogsBloom[i] = byte(r.Uint32())
	}
	bytesOf := h()
	e.ExtraData = append([]byte(nil), bytesOf[:r.IntN(33)]...)
	copy(e.BaseFee[r.IntN(33):], bytesOf[:])
	e.GasLimit, e.GasUsed = r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64)
	if v >= codec.V3 {
		e.BeaconRoot, e.BlobGasUsed, e.ExcessBlobGas = h(), r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64)
	}
	if v >= codec.V4 {
		e.WithdrawalsRoot = h()
	}
	root, err := codec.TxRoot(e.Txs)
	if err != nil {
		t.Fatal(err)
	}
	e.BlockHash = codec.HeaderHash(codec.AppendHeader(nil, e, root))
	return e
}

// damaged is an encoding with something wrong, mostly in its offsets.
func damaged(r *rand.Rand, raw []byte, v codec.Version) []byte {
	out := bytes.Clone(raw)
	at := 0
	if v.Enveloped() {
		at = 32
	}
	offsets := []int{at + 436, at + 504}
	if v >= codec.V2 {
		offsets = append(offsets, at+508)
	}
	switch r.IntN(6) {
	case 0: // cut
		return out[:r.IntN(len(out))]
	case 1: // longer
		return append(out, make([]byte, 1+r.IntN(100))...)
	case 2: // a byte anywhere
		out[r.IntN(len(out))] ^= byte(1 + r.IntN(255))
	case 3: // the first bytes behind the fixed part: extra data, or the transactions' offsets
		if end := at + 600; end < len(out) {
			out[end-1-r.IntN(80)] ^= byte(1 << r.IntN(8))
		}
	default:
		o := offsets[r.IntN(len(offsets))]
		out[o+r.IntN(2)] += byte(1 + r.IntN(60))
	}
	return out
}

// Of thousands of payloads that one side makes the other has the same bytes,
// the same hash and the same JSON; and of as many that are damaged both take
// the same ones. Threat M-07 against the real decoder.
func TestSSZAgainstOpNode(t *testing.T) {
	const count = 150
	rounds := 1
	if os.Getenv("STARLING_FULL") != "" {
		rounds = 20
	}
	n := newNetwork(t, codec.V4, 2, 1, 100)
	op := runOpNode(t, newest, n.start(map[string]any{"head": 0}))
	for _, v := range codec.Versions {
		t.Run(v.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(v), 7))
			took := 0
			for round := range rounds {
				took += op.compare(t, r, v, count, uint64(round))
			}
			t.Logf("%s: %d of op-node's, %d of ours, and %d damaged ones, of which both take %d", v, rounds*count, rounds*count, rounds*count, took)
			if took == 0 || took == rounds*count {
				t.Errorf("of %d damaged payloads both take %d: nothing is shown by that", rounds*count, took)
			}
		})
	}
}

// compare is one round of that. It gives how many of the damaged both take.
func (op *opNode) compare(t *testing.T, r *rand.Rand, v codec.Version, count int, seed uint64) (took int) {
	for i, theirs := range op.ssz(t, map[string]any{"version": int(v), "make": count, "seed": seed}) {
		raw, err := hex.DecodeString(theirs.SSZ)
		if err != nil || theirs.Error != "" {
			t.Fatalf("op-node's payload %d: %v %s", i, err, theirs.Error)
		}
		e, err := codec.DecodeEnvelope(raw, v)
		if err != nil {
			t.Fatalf("op-node's payload %d does not decode: %v\n%x", i, err, raw)
		}
		b, err := e.Block(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(codec.AppendEnvelope(nil, e), raw) || codec.HeaderHash(b.Header.Bytes).String() != theirs.Hash || !codec.CheckHash(b) {
			t.Errorf("op-node's payload %d is another here: %x", i, raw)
		}
		var fromJSON codec.Envelope
		if err := json.Unmarshal(theirs.JSON, &fromJSON); err != nil || !bytes.Equal(codec.AppendEnvelope(nil, &fromJSON), raw) {
			t.Errorf("op-node's payload %d is another in JSON: %v\n%s", i, err, theirs.JSON)
		}
	}
	var good, spoiled []string
	var ours []*codec.Envelope
	for range count {
		e := drawn(t, r, v)
		raw := codec.AppendEnvelope(nil, e)
		ours = append(ours, e)
		good, spoiled = append(good, hex.EncodeToString(raw)), append(spoiled, hex.EncodeToString(damaged(r, raw, v)))
	}
	for i, theirs := range op.ssz(t, map[string]any{"version": int(v), "items": good}) {
		if theirs.SSZ != good[i] || theirs.Hash != ours[i].BlockHash.String() {
			t.Errorf("our payload %d is another at op-node: %s %s", i, theirs.Error, good[i])
		}
		text, err := json.Marshal(ours[i])
		if err != nil || !sameJSON(text, theirs.JSON) {
			t.Errorf("our payload %d in JSON: %v\n%s\nwant\n%s", i, err, text, theirs.JSON)
		}
	}
	for i, theirs := range op.ssz(t, map[string]any{"version": int(v), "items": spoiled}) {
		raw, err := hex.DecodeString(spoiled[i])
		if err != nil {
			t.Fatal(err)
		}
		e, err := codec.DecodeEnvelope(raw, v)
		if (err == nil) != (theirs.Error == "") {
			t.Errorf("a damaged payload: we say %v, op-node %q\n%s", err, theirs.Error, spoiled[i])
		}
		if err == nil && theirs.Error == "" {
			took++
			if got := hex.EncodeToString(codec.AppendEnvelope(nil, e)); got != theirs.SSZ {
				t.Errorf("a damaged payload is encoded again as\n%s, op-node has\n%s", got, theirs.SSZ)
			}
		}
	}
	return took
}

// sameJSON compares two JSON documents, whatever the order of their fields.
func sameJSON(a, b []byte) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	one, err := json.Marshal(x)
	two, err2 := json.Marshal(y)
	return err == nil && err2 == nil && bytes.Equal(one, two)
}
