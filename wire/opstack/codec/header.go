package codec

import (
	"bytes"
	"encoding/binary"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

const (
	// headerRoom is what a header takes in RLP at most, about.
	headerRoom = 768
	// MaxHeader is the longest header in RLP; real ones have at most 700 bytes.
	MaxHeader = 1024
)

// What a header of the OP Stack has always.
var (
	noUncles   = chain.Hash(types.EmptyUncleHash)
	noRequests = chain.Hash(types.EmptyRequestsHash) // from V4 on
	noNonce    [8]byte
)

// AppendHeader appends the execution layer's header of an envelope, in RLP.
func AppendHeader(dst []byte, e *Envelope, txRoot chain.Hash) []byte {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	w.WriteBytes(e.ParentHash[:])
	w.WriteBytes(noUncles[:])
	w.WriteBytes(e.FeeRecipient[:])
	w.WriteBytes(e.StateRoot[:])
	w.WriteBytes(txRoot[:])
	w.WriteBytes(e.ReceiptsRoot[:])
	w.WriteBytes(e.LogsBloom[:])
	w.WriteUint64(0) // difficulty
	w.WriteUint64(e.Number)
	w.WriteUint64(e.GasLimit)
	w.WriteUint64(e.GasUsed)
	w.WriteUint64(e.Time)
	w.WriteBytes(e.ExtraData)
	w.WriteBytes(e.PrevRandao[:])
	w.WriteBytes(noNonce[:])
	w.WriteBytes(bytes.TrimLeft(e.BaseFee[:], "\x00"))
	switch {
	case e.Version == V4:
		w.WriteBytes(e.WithdrawalsRoot[:])
	case e.Version >= V2:
		root := withdrawalsRoot(e.Withdrawals)
		w.WriteBytes(root[:])
	}
	if e.Version >= V3 {
		w.WriteUint64(e.BlobGasUsed)
		w.WriteUint64(e.ExcessBlobGas)
		w.WriteBytes(e.BeaconRoot[:])
	}
	if e.Version >= V4 {
		w.WriteBytes(noRequests[:])
	}
	w.ListEnd(list)
	dst = w.AppendToBytes(dst)
	w.Flush() // gives the buffer back
	return dst
}

// HeaderHash is the hash of an encoded header: the block's hash.
func HeaderHash(b []byte) chain.Hash { return chain.Hash(crypto.Keccak256Hash(b)) }

// ParseHeader reads an encoded header and gives what an envelope has of it,
// and the root of its transactions. Txs and Withdrawals are empty; BlockHash is
// the header's; WithdrawalsRoot is set from V2 on. It is strict: what it takes,
// AppendHeader writes back. It takes headers of the OP Stack after Bedrock only.
// The result shares b's memory.
func ParseHeader(b []byte) (*Envelope, chain.Hash, error) {
	var root chain.Hash
	if len(b) > MaxHeader {
		return nil, root, bad("header has %d bytes, at most %d", len(b), MaxHeader)
	}
	content, rest, err := rlp.SplitList(b)
	if err != nil || len(rest) > 0 {
		return nil, root, bad("header of %d bytes is no list, or %d bytes follow it", len(b), len(rest))
	}
	e := new(Envelope)
	r := fields{b: content}
	r.hash(&e.ParentHash)
	r.want("uncles", noUncles[:])
	r.fixed(e.FeeRecipient[:])
	r.hash(&e.StateRoot)
	r.hash(&root)
	r.hash(&e.ReceiptsRoot)
	r.fixed(e.LogsBloom[:])
	if r.u64() != 0 {
		r.fail("difficulty is not 0")
	}
	e.Number, e.GasLimit, e.GasUsed, e.Time = r.u64(), r.u64(), r.u64(), r.u64()
	e.ExtraData = r.bytes()
	r.hash(&e.PrevRandao)
	r.want("nonce", noNonce[:])
	fee := r.bytes()
	if len(fee) > len(e.BaseFee) || len(fee) > 0 && fee[0] == 0 {
		r.fail("base fee is no number of 256 bits")
	} else {
		copy(e.BaseFee[len(e.BaseFee)-len(fee):], fee)
	}
	e.Version = V1
	if r.more() {
		e.Version = V2
		r.hash(&e.WithdrawalsRoot)
	}
	if r.more() {
		e.Version = V3
		e.BlobGasUsed, e.ExcessBlobGas = r.u64(), r.u64()
		r.hash(&e.BeaconRoot)
	}
	if r.more() {
		e.Version = V4
		r.want("requests hash", noRequests[:])
	}
	if r.more() {
		r.fail("it has more fields than an OP Stack header")
	}
	switch {
	case r.err != nil:
		return nil, root, r.err
	case len(e.ExtraData) > MaxExtraData:
		return nil, root, bad("header: %d bytes of extra data, at most %d", len(e.ExtraData), MaxExtraData)
	case e.Time > maxTime:
		return nil, root, bad("header: time %d, at most %d", e.Time, uint64(maxTime))
	}
	e.BlockHash = HeaderHash(b)
	return e, root, nil
}

// fields reads the items of a list. After an error all is zero.
type fields struct {
	b   []byte
	err error
}

func (r *fields) fail(why string) {
	if r.err == nil {
		r.err = bad("header: %s", why)
	}
}

func (r *fields) more() bool { return r.err == nil && len(r.b) > 0 }

func (r *fields) bytes() []byte {
	if r.err != nil {
		return nil
	}
	v, rest, err := rlp.SplitString(r.b)
	if err != nil {
		r.fail(err.Error())
		return nil
	}
	r.b = rest
	return v[:len(v):len(v)]
}

func (r *fields) u64() uint64 {
	v := r.bytes()
	if len(v) > 8 || len(v) > 0 && v[0] == 0 {
		r.fail("a number is not canonical, or over 64 bits")
		return 0
	}
	var b [8]byte
	copy(b[8-len(v):], v)
	return binary.BigEndian.Uint64(b[:])
}

func (r *fields) fixed(dst []byte) {
	v := r.bytes()
	if len(v) != len(dst) {
		r.fail("a field has another length")
		return
	}
	copy(dst, v)
}

func (r *fields) hash(h *chain.Hash) { r.fixed(h[:]) }

func (r *fields) want(what string, want []byte) {
	if got := r.bytes(); !bytes.Equal(got, want) {
		r.fail(what + " is not what the OP Stack has")
	}
}

// CheckHash reports whether the header of a block has the hash that the block
// claims, and the list of transactions and of withdrawals the roots that are in
// the header.
func CheckHash(b chain.Block) bool {
	e, root, err := ParseHeader(b.Header.Bytes)
	return err == nil && Describes(e, b.Header) && CheckBody(e, root, b.Body, b.Extra) == nil
}

// Describes reports whether a header says of itself what its bytes, parsed
// into e, say.
func Describes(e *Envelope, h chain.Header) bool {
	return e.BlockHash == h.Ref.Hash && e.Number == h.Ref.Number && e.ParentHash == h.Parent && h.Time.Equal(TimeOf(e.Time))
}

// Body is a body to be checked: with the withdrawals behind the signature in
// extra, against a parsed header and the root in that.
type Body struct {
	Header      *Envelope
	Root        chain.Hash
	Body, Extra []byte
}

// CheckBody checks one body.
func CheckBody(e *Envelope, root chain.Hash, body, extra []byte) error {
	return CheckBodies([]Body{{e, root, body, extra}})[0]
}

// CheckBodies is CheckBody of each: quicker than one by one.
func CheckBodies(of []Body) []error {
	errs := make([]error, len(of))
	lists, whose := make([][]byte, 0, len(of)), make([]int, 0, len(of))
	for i, b := range of {
		if errs[i] = checkTxs(b.Body); errs[i] == nil {
			lists, whose = append(lists, b.Body), append(whose, i)
		}
	}
	roots, bad := TxRoots(lists)
	for k, i := range whose {
		if errs[i] = bad[k]; bad[k] == nil {
			errs[i] = of[i].check(roots[k])
		}
	}
	return errs
}

// check checks a body whose transactions have a root.
func (b *Body) check(got chain.Hash) error {
	if got != b.Root {
		return bad("transactions have the root %v, the header says %v", got, b.Root)
	}
	if b.Header.Version == V2 || b.Header.Version == V3 {
		var ws []byte
		if len(b.Extra) > SignatureSize {
			ws = b.Extra[SignatureSize:]
		}
		if len(ws)%withdrawalSize != 0 || len(ws)/withdrawalSize > MaxWithdrawals || withdrawalsRoot(ws) != b.Header.WithdrawalsRoot {
			return bad("withdrawals do not have the root %v", b.Header.WithdrawalsRoot)
		}
	}
	return nil
}
