package ontology

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Family is a network of this package. It is safe for concurrent use.
type Family struct {
	network Network
	genesis codec.Block
	chain   atomic.Pointer[chain.Reader]

	mu      sync.Mutex // a leaf
	keys    map[string]codec.Key
	fast    map[string]codec.Key       // of keys that have signed much, hastened
	signed  map[string]int             // verified signatures of the others
	configs map[uint32]*members        // by the number of the block that carries the configuration
	signers map[codec.Address]struct{} // that verified headers named
	top     uint32                     // number of the highest of them
}

const (
	maxParsed  = 4096 // keys that are kept parsed
	maxConfigs = 4096 // configurations that are kept
	maxFast    = 16   // keys that are kept hastened: 6 MiB
	fastFrom   = 64   // signatures that a key has made by then
)

var (
	_ ledger.Family   = (*Family)(nil)
	_ ledger.Executor = (*Family)(nil)
)

// New makes the family of a network.
func New(n Network) (*Family, error) {
	g, err := Genesis(n)
	if err != nil {
		return nil, err
	}
	f := &Family{
		network: n, genesis: g, keys: map[string]codec.Key{}, fast: map[string]codec.Key{}, signed: map[string]int{},
		configs: map[uint32]*members{}, signers: map[codec.Address]struct{}{},
	}
	f.named(g.Header)
	if n.kind() == VBFT {
		info, err := parseInfo(g.Header.Payload)
		if err != nil {
			return nil, fmt.Errorf("ontology: genesis: %w", err)
		}
		m, err := info.Config.members()
		if err != nil {
			return nil, fmt.Errorf("ontology: genesis: %w", err)
		}
		f.configs[0] = m
	}
	return f, nil
}

// Attach gives the family the chain that it is the family of, once it is open:
// in a VBFT network it looks up there the headers with the configurations of
// old, elsewhere who signs next. Until then it knows what it has verified. It
// reads the head.
func (f *Family) Attach(ctx context.Context, r chain.Reader) error {
	f.chain.Store(&r)
	ch, err := r.Header(ctx, r.Status().Head)
	if err != nil {
		return fmt.Errorf("ontology: head: %w", err)
	}
	h, err := codec.DecodeHeader(ch.Bytes)
	if err != nil {
		return fmt.Errorf("ontology: head: %w", err)
	}
	f.named(h)
	return nil
}

// Network is what the family was made of.
func (f *Family) Network() Network { return f.network }

// Spec implements ledger.Family.
func (f *Family) Spec() ledger.Spec {
	return ledger.Spec{Network: f.network.Name, Genesis: f.genesis.Chain()}
}

// DecodeHeader implements ledger.Family.
func (f *Family) DecodeHeader(b []byte) (chain.Header, error) {
	h, err := codec.DecodeHeader(b)
	if err != nil {
		return chain.Header{}, err
	}
	return h.Chain(), nil
}

// Txs implements ledger.Family.
func (f *Family) Txs(b chain.Block) ([]chain.Tx, error) {
	txs, err := codec.DecodeBody(b.Body)
	if err != nil {
		return nil, err
	}
	out := make([]chain.Tx, len(txs))
	for i, t := range txs {
		out[i] = t.Chain()
	}
	return out, nil
}

// Check implements chain.Checker: the body belongs to the header, and its
// signers have signed it. Whether they may is told where that is known without
// the parent, which it is at the tip; else it is left to VerifyHeaders.
func (f *Family) Check(b chain.Block) chain.Verdict {
	if b.Size() > codec.MaxBlock {
		return chain.Rejected("too-large")
	}
	h, err := decode(b.Header)
	switch {
	case err != nil:
		return chain.Rejected("bad-header")
	case h.Height == 0:
		return chain.Ignored("genesis")
	case len(h.Keys) == 0 || len(h.Sigs) == 0:
		return chain.Rejected("unsigned")
	case f.checkSigners(h) != nil:
		return chain.Rejected("bad-signature")
	case checkBody(h, b.Body, b.Extra) != nil:
		return chain.Rejected("wrong-body")
	}
	return chain.Accepted()
}

// named notes whom a verified header names as the next signers.
func (f *Family) named(h codec.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.signers[h.NextBookkeeper]; !known && len(f.signers) >= maxParsed {
		clear(f.signers)
	}
	f.signers[h.NextBookkeeper] = struct{}{}
	f.top = max(f.top, h.Height)
}

// mayBeStrangers reports whether signers that nobody has named may be right for
// a block of that number: not before we have verified as far as that.
func (f *Family) mayBeStrangers(number uint32, at codec.Address) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.signers[at]
	return known || number > f.top+1 || len(f.signers) == 0
}

// decode reads a header, which must be what it is said to be.
func decode(ch chain.Header) (codec.Header, error) {
	h, err := codec.DecodeHeader(ch.Bytes)
	if err != nil {
		return h, err
	}
	if d := h.Chain(); d.Ref != ch.Ref || d.Parent != ch.Parent || !d.Time.Equal(ch.Time) {
		return h, fmt.Errorf("its bytes are those of %v", d.Ref)
	}
	return h, nil
}

func checkBody(h codec.Header, body, extra []byte) error {
	txs, err := codec.DecodeBody(body)
	if err != nil {
		return err
	}
	if len(extra) > 0 {
		if _, err := codec.DecodeTrailer(extra); err != nil {
			return err
		}
	}
	return codec.CheckBody(h, txs)
}

// VerifyBody implements chain.Checker. What travels behind a block must be well
// formed; that it is true nobody can tell without running the contracts.
func (f *Family) VerifyBody(ch chain.Header, body, extra []byte) error {
	h, err := decode(ch)
	if err == nil {
		err = checkBody(h, body, extra)
	}
	if err != nil {
		return fmt.Errorf("ontology: body of block %v: %w: %w", ch.Ref, chain.ErrInvalid, err)
	}
	return nil
}

// treeKey is where the state holds the tree of all blocks.
var treeKey = []byte("block-tree")

// GenesisState implements ledger.Executor.
func (f *Family) GenesisState() []ledger.Write {
	tree := codec.BlockTree{}.With(f.genesis.Header.TxRoot)
	return []ledger.Write{{Key: treeKey, Value: tree.Append(nil)}}
}

// Execute implements ledger.Executor: it checks the block root.
func (f *Family) Execute(s ledger.State, b chain.Block) ([]ledger.Write, error) {
	h, err := codec.DecodeHeader(b.Header.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ontology: block %v: %w: %w", b.Ref(), chain.ErrInvalid, err)
	}
	stored, err := s.Get(treeKey)
	if err != nil {
		return nil, fmt.Errorf("ontology: block tree: %w", err)
	}
	tree, err := codec.DecodeBlockTree(stored)
	if err != nil || tree.Size != h.Height {
		return nil, fmt.Errorf("ontology: block tree before block %d has %d blocks: %w", h.Height, tree.Size, errors.Join(chain.ErrCorrupt, err))
	}
	if root := tree.RootWith(h.TxRoot); root != h.BlockRoot {
		return nil, fmt.Errorf("ontology: block %v: %w: its block root is %s, want %s", b.Ref(), chain.ErrInvalid, h.BlockRoot, root)
	}
	f.named(h)
	return []ledger.Write{{Key: treeKey, Value: tree.With(h.TxRoot).Append(nil)}}, nil
}

// key is a parsed key, which is kept: the same few sign every block.
func (f *Family) key(b []byte) (codec.Key, error) {
	f.mu.Lock()
	k, ok := f.fast[string(b)]
	if !ok {
		k, ok = f.keys[string(b)]
	}
	f.mu.Unlock()
	if ok {
		return k, nil
	}
	k, err := codec.ParseKey(append([]byte(nil), b...))
	if err != nil {
		return k, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.keys) >= maxParsed {
		clear(f.keys) // who changes keys that often is not an honest chain
	}
	f.keys[string(b)] = k
	return k, nil
}

// haveSigned notes the signers of a verified header, and hastens who signs much.
func (f *Family) haveSigned(keys []codec.Key) {
	for _, k := range keys {
		if !f.signsMuch(k) {
			continue
		}
		k = k.Hasten()
		f.mu.Lock()
		f.fast[string(k.Bytes())] = k
		f.mu.Unlock()
	}
}

// signsMuch counts a signature; true, once, for the one that makes it many.
func (f *Family) signsMuch(k codec.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.fast[string(k.Bytes())]; ok {
		return false
	}
	if len(f.signed) >= maxParsed {
		clear(f.signed)
	}
	f.signed[string(k.Bytes())]++
	if f.signed[string(k.Bytes())] < fastFrom {
		return false
	}
	if len(f.fast) >= maxFast {
		clear(f.fast) // others sign by now
	}
	delete(f.signed, string(k.Bytes()))
	return true
}

// learn keeps the configuration that a verified header brought.
func (f *Family) learn(number uint32, m *members) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.configs) >= maxConfigs {
		for n := range f.configs {
			if n != 0 {
				delete(f.configs, n) // any: the chain has it
				break
			}
		}
	}
	f.configs[number] = m
}

// membersAt finds the configuration that a block carries.
func (f *Family) membersAt(number uint32) (*members, error) {
	f.mu.Lock()
	m := f.configs[number]
	f.mu.Unlock()
	if m != nil {
		return m, nil
	}
	r := f.chain.Load()
	if r == nil {
		return nil, fmt.Errorf("configuration of block %d: %w", number, chain.ErrNotFound)
	}
	ch, err := (*r).Header(context.Background(), chain.Ref{Number: uint64(number)})
	if err != nil {
		return nil, fmt.Errorf("configuration of block %d: %w", number, err)
	}
	h, err := codec.DecodeHeader(ch.Bytes)
	if err != nil {
		return nil, fmt.Errorf("configuration of block %d: %w", number, err)
	}
	info, err := parseInfo(h.Payload)
	if err == nil && info.Config == nil {
		err = errors.New("it carries none")
	}
	if err != nil {
		return nil, fmt.Errorf("configuration of block %d: %w", number, err)
	}
	if m, err = info.Config.members(); err != nil {
		return nil, err
	}
	f.learn(number, m)
	return m, nil
}
