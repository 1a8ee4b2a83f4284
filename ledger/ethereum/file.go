package ethereum

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// MaxFileBlock bounds a block of a file, in bytes: twice what any network's gas
// limit has made.
const MaxFileBlock = 32 << 20

// A FileReader reads a chain file as geth export makes it: blocks, each the list
// [header, transactions, uncles] or with withdrawals behind, one after another,
// perhaps under gzip. It holds one block at a time.
type FileReader struct {
	r    *bufio.Reader
	read int64 // bytes of blocks, unpacked
	buf  bytes.Buffer
}

// NewFileReader looks at the first bytes, which say whether the file is packed.
func NewFileReader(r io.Reader) (*FileReader, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, err := in.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b { // RFC 1952; no list begins so
		zip, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("ethereum: chain file: %w", err)
		}
		in = bufio.NewReaderSize(zip, 1<<16)
	}
	return &FileReader{r: in}, nil
}

// Next gives the next block, whose form alone is checked; io.EOF behind the last
// one. An error of the file's wraps chain.ErrInvalid.
func (f *FileReader) Next() (chain.Block, error) {
	raw, err := f.next()
	if err == io.EOF {
		return chain.Block{}, err
	}
	if err == nil {
		var b chain.Block
		if b, err = parseBlock(raw); err == nil {
			f.read += int64(len(raw))
			return b, nil
		}
	}
	return chain.Block{}, fmt.Errorf("ethereum: chain file, byte %d: %w: %w", f.read, chain.ErrInvalid, err)
}

// next reads one list, as far as it is there: its length is a claim.
func (f *FileReader) next() ([]byte, error) {
	head, err := f.r.Peek(1)
	if err != nil {
		return nil, err // io.EOF: the end
	}
	n := 1
	if head[0] > 0xf7 {
		n += int(head[0] - 0xf7)
	}
	if head, err = f.r.Peek(n); err != nil {
		return nil, errors.New("it ends within a block's length")
	}
	size := uint64(head[0]) - 0xc0
	switch {
	case head[0] < 0xc0:
		return nil, errors.New("it is no list of a block; want a file that geth export made")
	case n > 1:
		size = 0
		for _, b := range head[1:] {
			if size > MaxFileBlock {
				break
			}
			size = size<<8 | uint64(b)
		}
	}
	if size > MaxFileBlock {
		return nil, fmt.Errorf("it claims a block of over %d bytes", MaxFileBlock)
	}
	f.buf.Reset()
	want := int64(n) + int64(size)
	if got, err := io.CopyN(&f.buf, f.r, want); err != nil {
		return nil, fmt.Errorf("it ends within a block, after %d of %d bytes: %w", got, want, noEOF(err))
	}
	return bytes.Clone(f.buf.Bytes()), nil
}

// noEOF keeps the end of a file within a block from being taken for its end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseBlock(raw []byte) (chain.Block, error) {
	header, body, err := eth.SplitBlock(raw)
	if err != nil {
		return chain.Block{}, err
	}
	h, _, err := decodeHeader(header)
	if err != nil {
		return chain.Block{}, err
	}
	return chain.Block{Header: h, Body: body}, nil
}

// AppendBlock appends a block as a chain file has it. Its Extra is not part of
// that.
func AppendBlock(dst []byte, b chain.Block) ([]byte, error) {
	content, _, err := rlp.SplitList(b.Body)
	if err != nil {
		return dst, fmt.Errorf("ethereum: body of block %v: %w", b.Ref(), err)
	}
	raw, err := rlp.EncodeToBytes([]rlp.RawValue{b.Header.Bytes, content})
	if err != nil {
		return dst, fmt.Errorf("ethereum: block %v: %w", b.Ref(), err)
	}
	return append(dst, raw...), nil
}
