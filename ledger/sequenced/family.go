package sequenced

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/ledger"
)

// Defaults of a Config.
const (
	DefaultMaxBlockBytes = 8 << 20
	DefaultMaxTxBytes    = 1 << 20
	DefaultBlockInterval = time.Second
)

// Config describes a network of this family. Nodes with other values in any
// field but Forks, Wall and Logger are on another network: the genesis hash
// covers them.
type Config struct {
	// Network is its name.
	Network string
	// SequencerKey verifies blocks. Empty: none is configured; blocks are
	// ignored, through nobody's fault, and none can be verified.
	SequencerKey ed25519.PublicKey
	// GenesisTime is that of the genesis block, to the millisecond, not before 1970.
	GenesisTime time.Time
	// BlockInterval is the sequencer's pace; 0: a second.
	BlockInterval time.Duration
	// Alloc is what accounts own at genesis; the sum fits 64 bits.
	Alloc map[Address]uint64
	// MaxBlockBytes bounds header and body; 0: 8 MiB.
	MaxBlockBytes int
	// MaxTxBytes bounds an encoded transaction; 0: 1 MiB.
	MaxTxBytes int
	// Forks is the fork schedule. This family has no forks of its own yet:
	// names are the embedder's, and a change of the schedule rewinds.
	Forks []ledger.Rule
	// Wall tells the time; nil: the machine's clock.
	Wall env.Wall
	// Logger gets an alarm when the sequencer signs twice; nil: nothing.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.BlockInterval == 0 {
		c.BlockInterval = DefaultBlockInterval
	}
	if c.MaxBlockBytes == 0 {
		c.MaxBlockBytes = DefaultMaxBlockBytes
	}
	if c.MaxTxBytes == 0 {
		c.MaxTxBytes = min(DefaultMaxTxBytes, c.MaxBlockBytes-headerLen-lengthPrefix)
	}
	if c.Wall == nil {
		c.Wall = env.SystemWall()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sequenced: "+format, args...)) }
	if c.Network == "" || len(c.Network) > 64 {
		bad("network name %.80q has %d bytes, want 1 to 64", c.Network, len(c.Network))
	}
	if n := len(c.SequencerKey); n != 0 && n != ed25519.PublicKeySize {
		bad("sequencer key has %d bytes, want %d", n, ed25519.PublicKeySize)
	}
	if c.GenesisTime.UnixMilli() < 0 || c.GenesisTime.UnixMilli() > maxMillis {
		bad("genesis time %v is before 1970 or too far ahead", c.GenesisTime)
	}
	if c.BlockInterval < time.Millisecond {
		bad("block interval is %v, want at least 1ms", c.BlockInterval)
	}
	if c.MaxBlockBytes < 1024 || c.MaxBlockBytes > 1<<30 {
		bad("largest block is %d bytes, want 1024 to %d", c.MaxBlockBytes, 1<<30)
	}
	if room := c.MaxBlockBytes - headerLen - lengthPrefix; c.MaxTxBytes < transferLen || c.MaxTxBytes > room {
		bad("largest transaction is %d bytes, want %d to %d, which a block has room for", c.MaxTxBytes, transferLen, room)
	}
	sum := uint64(0)
	for _, a := range c.Alloc {
		if sum+a < sum {
			bad("allocations exceed %d in sum", uint64(math.MaxUint64))
			break
		}
		sum += a
	}
	return errors.Join(errs...)
}

// Family is a network of this package. It is safe for concurrent use.
type Family struct {
	c       Config
	genesis chain.Block
	hash    chain.Hash // of genesis
	id      [8]byte
	alloc   []ledger.Write
	seen    *signedTwice
	memo    *memo
}

var (
	_ ledger.Family   = (*Family)(nil)
	_ ledger.Executor = (*Family)(nil)
)

// New makes the family of a network.
func New(c Config) (*Family, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	f := &Family{c: c, seen: newSignedTwice(), memo: newMemo()}
	addrs := make([]Address, 0, len(c.Alloc))
	for a := range c.Alloc {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, func(a, b Address) int { return bytes.Compare(a[:], b[:]) })
	for _, a := range addrs {
		f.alloc = append(f.alloc, ledger.Write{Key: accountKey(a), Value: Account{Balance: c.Alloc[a]}.encode()})
	}
	h := header{
		parent: f.digest(addrs),
		millis: uint64(c.GenesisTime.UnixMilli()),
		root:   merkleRoot(nil),
	}
	f.genesis = chain.Block{Header: h.chainHeader(h.append(nil)), Body: []byte{}}
	f.hash = f.genesis.Header.Ref.Hash
	f.id = chainField(f.hash)
	return f, nil
}

// digest covers every parameter that blocks are judged by.
func (f *Family) digest(addrs []Address) chain.Hash {
	d := sha256.New()
	num := func(n uint64) { d.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(b []byte) { num(uint64(len(b))); d.Write(b) }
	text([]byte("starling sequenced genesis 1\n"))
	text([]byte(f.c.Network))
	text(f.c.SequencerKey)
	num(uint64(f.c.BlockInterval))
	num(uint64(f.c.MaxBlockBytes))
	num(uint64(f.c.MaxTxBytes))
	num(uint64(len(addrs)))
	for _, a := range addrs {
		d.Write(a[:])
		num(f.c.Alloc[a])
	}
	return chain.Hash(d.Sum(nil))
}

// Spec implements ledger.Family.
func (f *Family) Spec() ledger.Spec {
	return ledger.Spec{Network: f.c.Network, Genesis: f.genesis, Rules: f.c.Forks}
}

// Genesis is the hash of the genesis block, to which signatures are bound.
func (f *Family) Genesis() chain.Hash { return f.hash }

// Config is what the family was made of, with the defaults filled in.
func (f *Family) Config() Config { return f.c }

// DecodeHeader implements ledger.Family.
func (f *Family) DecodeHeader(b []byte) (chain.Header, error) {
	h, err := decodeHeader(b)
	if err != nil {
		return chain.Header{}, err
	}
	return h.chainHeader(b), nil
}

// Txs implements ledger.Family.
func (f *Family) Txs(b chain.Block) ([]chain.Tx, error) {
	h, err := decodeHeader(b.Header.Bytes)
	if err != nil {
		return nil, err
	}
	raw, err := splitBody(b.Body, h.txs)
	if err != nil {
		return nil, err
	}
	hashes, known := f.memo.get(h.root, b.Body)
	known = known && len(hashes) == len(raw)
	txs := make([]chain.Tx, len(raw))
	for i, r := range raw {
		if len(r) < txPrefixLen {
			return nil, errBody
		}
		txs[i] = chain.Tx{Sender: string(r[9:41]), Kind: r[0], Bytes: r}
		if known {
			txs[i].Hash = hashes[i]
		} else {
			txs[i].Hash = txHash(unsigned(r), r)
		}
	}
	return txs, nil
}

// VerifyHeaders implements chain.Checker.
func (f *Family) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	for i, h := range hs {
		if err := f.verifyHeader(parent, h); err != nil {
			return i, fmt.Errorf("sequenced: header %v: %w: %w", h.Ref, chain.ErrInvalid, err)
		}
		parent = h
	}
	return len(hs), nil
}

func (f *Family) verifyHeader(parent, ch chain.Header) error {
	h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return err
	}
	d := h.chainHeader(ch.Bytes)
	if d.Ref != ch.Ref || d.Parent != ch.Parent || !d.Time.Equal(ch.Time) {
		return fmt.Errorf("its bytes are those of %v", d.Ref)
	}
	if h.chain != f.id {
		return fmt.Errorf("it is of chain %x, want %x", h.chain, f.id)
	}
	if h.parent != parent.Ref.Hash {
		return fmt.Errorf("its parent is %v, want %v", h.parent, parent.Ref)
	}
	if h.number != parent.Ref.Number+1 {
		return fmt.Errorf("its parent has number %d", parent.Ref.Number)
	}
	if !d.Time.After(parent.Time) {
		return fmt.Errorf("its time %v is not after its parent's %v", d.Time, parent.Time)
	}
	if uint64(h.bodyBytes)+headerLen > uint64(f.c.MaxBlockBytes) {
		return fmt.Errorf("its body has %d bytes, want at most %d", h.bodyBytes, f.c.MaxBlockBytes-headerLen)
	}
	return f.verifySignature(ch.Bytes, h)
}

func (f *Family) verifySignature(b []byte, h header) error {
	if len(f.c.SequencerKey) == 0 {
		return errors.New("no sequencer key is configured")
	}
	if !ed25519.Verify(f.c.SequencerKey, headerPreimage(f.hash, b), h.sig[:]) {
		return errors.New("it is not signed by the sequencer")
	}
	return nil
}

// VerifyBody implements chain.Checker: it checks root and signatures, and is
// pure.
func (f *Family) VerifyBody(ch chain.Header, body, extra []byte) error {
	if err := f.verifyBody(ch, body, extra); err != nil {
		return fmt.Errorf("sequenced: body of block %v: %w: %w", ch.Ref, chain.ErrInvalid, err)
	}
	return nil
}

func (f *Family) verifyBody(ch chain.Header, body, extra []byte) error {
	h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return err
	}
	if len(extra) != 0 {
		return fmt.Errorf("it has %d extra bytes, want none", len(extra))
	}
	if int64(len(body)) != int64(h.bodyBytes) || len(body) > f.c.MaxBlockBytes-headerLen {
		return fmt.Errorf("it has %d bytes, the header says %d", len(body), h.bodyBytes)
	}
	raw, err := splitBody(body, h.txs)
	if err != nil {
		return err
	}
	hashes := make([]chain.Hash, len(raw))
	digests := make([][32]byte, len(raw))
	for i, r := range raw {
		digests[i] = unsigned(r)
		hashes[i] = txHash(digests[i], r)
	}
	if got := merkleRoot(hashes); got != h.root {
		return fmt.Errorf("its root is %v, the header says %v", got, h.root)
	}
	for i, r := range raw {
		if err := f.verifyTx(r, digests[i]); err != nil {
			return fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	f.memo.put(h.root, body, hashes)
	return nil
}

func (f *Family) verifyTx(b []byte, digest [32]byte) error {
	if len(b) > f.c.MaxTxBytes {
		return fmt.Errorf("it has %d bytes, want at most %d", len(b), f.c.MaxTxBytes)
	}
	t, err := DecodeTx(b)
	if err != nil {
		return err
	}
	if t.Chain != f.id {
		return fmt.Errorf("it is of chain %x, want %x", t.Chain, f.id)
	}
	if !ed25519.Verify(t.From[:], txPreimage(f.hash, digest), t.Sig[:]) {
		return errors.New("it is not signed by its sender")
	}
	return nil
}
