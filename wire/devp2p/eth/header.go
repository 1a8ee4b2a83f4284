package eth

import (
	"math"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
)

// MaxHeader bounds an encoded header, in bytes. Its fields are bounded by
// themselves, 32 bytes of extra data among them, and make less than 1 KiB (Yellow
// Paper, 4.3; EIP-1559, 4895, 4844, 4788, 7685, 7928 and 7843). Only a clique
// checkpoint is larger: its extra data has 97 bytes and 20 more for each signer
// (EIP-225), of which neither that nor geth bounds the number. This is room for
// 1,500 signers.
const MaxHeader = 1<<10 + 97 + 20*1500

// Places of fields in a header's list (Yellow Paper, 4.3).
const (
	fieldNumber = 8
	fieldTime   = 11
	leastFields = 15
)

// ParseHeader reads what links a header, and hashes it. What else it holds is
// for the chain's family to judge. raw is kept.
func ParseHeader(raw []byte) (chain.Header, error) {
	if len(raw) > MaxHeader {
		return chain.Header{}, bad("header has %d bytes, at most %d", len(raw), MaxHeader)
	}
	h := chain.Header{Bytes: raw}
	c := message(raw)
	h.Parent = c.hash()
	n := 1
	for ; c.more(); n++ {
		switch n {
		case fieldNumber:
			h.Ref.Number = c.uint()
		case fieldTime:
			at := c.uint()
			if at > math.MaxInt64/2 {
				return chain.Header{}, bad("header's time %d is out of range", at)
			}
			h.Time = time.Unix(int64(at), 0).UTC()
		default:
			c.bytes() // every field of a header is a string
		}
	}
	if err := c.end("header"); err != nil {
		return chain.Header{}, err
	}
	if n < leastFields {
		return chain.Header{}, bad("header has %d fields, at least %d", n, leastFields)
	}
	h.Ref.Hash = chain.Hash(crypto.Keccak256Hash(raw))
	return h, nil
}

// SplitBlock takes a block's list [header, transactions, uncles, ...] apart
// into the header and the body [transactions, uncles, ...].
func SplitBlock(raw []byte) (header, body []byte, err error) {
	c := message(raw)
	header = c.raw()
	if c.err != nil {
		return nil, nil, bad("block: %v", c.err)
	}
	rest := c.b
	parts := 0
	for ; c.more(); parts++ {
		if item := c.raw(); len(item) > 0 && item[0] < 0xc0 {
			return nil, nil, bad("block: part %d is no list", parts+1)
		}
	}
	if err := c.end("block"); err != nil {
		return nil, nil, err
	}
	if parts < 2 || parts > 3 {
		return nil, nil, bad("block: %d parts behind the header, want 2 or 3", parts)
	}
	return header, append(appendHead(make([]byte, 0, listSize(len(rest))), len(rest)), rest...), nil
}

// joinBlock is the content of a block's list, given its header and body.
func joinBlock(header, body []byte) (head, rest []byte, err error) {
	c := message(body)
	if c.err != nil {
		return nil, nil, bad("body: %v", c.err)
	}
	return header, c.b, nil
}
