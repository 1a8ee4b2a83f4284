package eth

import (
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"
)

// Receipts answers GetReceipts. The receipts of a block are a list of [type,
// status or root, cumulative gas, logs], the form of eth/69, whatever the
// version: it is the one in which they are kept.
type Receipts struct {
	ID         uint64
	Incomplete bool // the last block has more; from eth/70 on
	Blocks     [][]byte
}

// Append appends the payload for a version. Receipts that are malformed are an
// error of ours.
func (m Receipts) Append(b []byte, v Version) ([]byte, error) {
	blocks := m.Blocks
	if v == V68 {
		blocks = make([][]byte, len(m.Blocks))
		for i, block := range m.Blocks {
			var err error
			if blocks[i], err = withBlooms(block); err != nil {
				return nil, err
			}
		}
	}
	if v < V70 {
		return appendIDRaw(b, m.ID, blocks), nil
	}
	b = appendHead(b, rlp.IntSize(m.ID)+1+listSize(sum(blocks)))
	b = appendBool(rlp.AppendUint64(b, m.ID), m.Incomplete)
	return appendRaw(b, blocks), nil
}

// leastReceipt is the least that a receipt takes in bytes (go-ethereum
// eth/downloader).
const leastReceipt = 5

// DecodeReceipts reads the payload of a version: of at most most blocks, as
// many as were asked for.
func DecodeReceipts(b []byte, v Version, most int) (m Receipts, err error) {
	c := message(b)
	m.ID = c.uint()
	if v >= V70 {
		m.Incomplete = c.bool()
	}
	in := c.list()
	m.Blocks = in.lists(most)
	c.nested(&in)
	if err := c.end("receipts"); err != nil {
		return m, err
	}
	for i, block := range m.Blocks {
		if v == V68 {
			if m.Blocks[i], err = withoutBlooms(block); err != nil {
				return m, err
			}
		} else if err := checkReceipts(block); err != nil {
			return m, err
		}
	}
	return m, nil
}

// receipt is one receipt, taken apart.
type receipt struct {
	kind   uint64
	status []byte // or a state root
	gas    uint64
	logs   []byte // a list, as it is
}

func (c *cursor) receiptFields(r *receipt) {
	r.status = c.bytes()
	if len(r.status) > 1 && len(r.status) != 32 {
		c.fail(fmt.Errorf("a receipt's status has %d bytes", len(r.status)))
	}
	r.gas = c.uint()
}

func (c *cursor) logs(r *receipt) {
	if r.logs = c.raw(); len(r.logs) > 0 && r.logs[0] < 0xc0 {
		c.fail(fmt.Errorf("a receipt's logs are no list"))
	}
}

// receipt takes the next receipt in the form of eth/69.
func (c *cursor) receipt() (r receipt) {
	in := c.list()
	if r.kind = in.uint(); r.kind > 0x7f {
		in.fail(fmt.Errorf("a receipt's type is %d", r.kind))
	}
	in.receiptFields(&r)
	in.logs(&r)
	c.nested(&in)
	return r
}

// oldReceipt takes the next receipt in the form of eth/68: with a bloom, and in
// an envelope where it has a type.
func (c *cursor) oldReceipt() (r receipt) {
	body := cursor{b: c.raw(), err: c.err}
	if len(body.b) > 0 && body.b[0] < 0xc0 {
		envelope := body.bytes()
		if len(envelope) < 2 || envelope[0] > 0x7f || envelope[0] == 0 {
			c.fail(fmt.Errorf("a receipt's envelope has no type"))
			return r
		}
		r.kind, body.b = uint64(envelope[0]), envelope[1:]
	}
	in := body.list()
	in.receiptFields(&r)
	var bloom [bloomLen]byte
	in.fixed(bloom[:]) // it follows from the logs, so nothing rests on it
	in.logs(&r)
	body.nested(&in)
	c.nested(&body)
	return r
}

func (r receipt) append(b []byte) []byte {
	b = appendHead(b, rlp.IntSize(r.kind)+bytesSize(r.status)+rlp.IntSize(r.gas)+len(r.logs))
	b = appendBytes(rlp.AppendUint64(b, r.kind), r.status)
	return append(rlp.AppendUint64(b, r.gas), r.logs...)
}

// bloomedContent is the size of the receipt with its bloom, without the head.
func (r receipt) bloomedContent() int {
	const bloom = 3 + bloomLen // with its head
	return bytesSize(r.status) + rlp.IntSize(r.gas) + bloom + len(r.logs)
}

// appendBloomed appends the receipt with its bloom, behind its type where it has
// one (EIP-2718): what the root is over, or in an envelope what eth/68 sends.
func (r receipt) appendBloomed(b []byte, envelope bool) ([]byte, error) {
	bloom, err := bloomOf(r.logs)
	if err != nil {
		return nil, err
	}
	content := r.bloomedContent()
	if r.kind != 0 {
		switch size := 1 + listSize(content); {
		case !envelope:
		case size < 56:
			b = append(b, 0x80+byte(size))
		default:
			b = appendLong(b, 0xb7, size)
		}
		b = append(b, byte(r.kind))
	}
	b = appendBytes(appendHead(b, content), r.status)
	b = appendBytes(rlp.AppendUint64(b, r.gas), bloom[:])
	return append(b, r.logs...), nil
}

// checkReceipts checks the form of a block's receipts.
func checkReceipts(block []byte) error {
	c := message(block)
	c.count(len(block) / leastReceipt)
	for c.more() {
		c.receipt()
	}
	return c.end("receipts of a block")
}

// ReceiptsSize is how many bytes a block's receipts take in a message of a
// version: eth/68 adds a bloom of 256 bytes to each, which here is not computed.
func ReceiptsSize(block []byte, v Version) (int, error) {
	if v != V68 {
		return len(block), nil
	}
	c := message(block)
	n := 0
	for c.more() {
		r := c.receipt()
		size := listSize(r.bloomedContent())
		if r.kind != 0 { // an envelope: a string of more than 255 bytes
			size += 1 + len(appendLong(nil, 0xb7, 1+size))
		}
		n += size
	}
	if err := c.end("receipts of a block"); err != nil {
		return 0, err
	}
	return listSize(n), nil
}

// withBlooms makes a block's receipts what eth/68 sends.
func withBlooms(block []byte) ([]byte, error) {
	c := message(block)
	var in []byte
	for c.more() {
		r := c.receipt()
		if c.err != nil {
			break
		}
		var err error
		if in, err = r.appendBloomed(in, true); err != nil {
			return nil, err
		}
	}
	if err := c.end("receipts of a block"); err != nil {
		return nil, err
	}
	return append(appendHead(make([]byte, 0, listSize(len(in))), len(in)), in...), nil
}

// withoutBlooms makes what eth/68 sends the receipts of a block.
func withoutBlooms(block []byte) ([]byte, error) {
	c := message(block)
	c.count(len(block) / bloomLen)
	var in []byte
	for c.more() {
		in = c.oldReceipt().append(in)
	}
	if err := c.end("receipts of a block"); err != nil {
		return nil, err
	}
	return append(appendHead(make([]byte, 0, listSize(len(in))), len(in)), in...), nil
}

// CutReceipts leaves the first receipts of a block out, and ends before its
// encoding has more than most bytes. more says that receipts are missing behind.
func CutReceipts(block []byte, first uint64, most int) (part []byte, more bool, err error) {
	c := message(block)
	var in []byte
	for i := uint64(0); c.more(); i++ {
		item := c.raw()
		if i < first {
			continue
		}
		if listSize(len(in)+len(item)) > most {
			more = true
			break
		}
		in = append(in, item...)
	}
	if c.err != nil {
		return nil, false, bad("receipts of a block: %v", c.err)
	}
	return append(appendHead(make([]byte, 0, listSize(len(in))), len(in)), in...), more, nil
}

// CountReceipts is how many receipts a block's list has.
func CountReceipts(block []byte) int {
	c := message(block)
	return c.count(len(block))
}
