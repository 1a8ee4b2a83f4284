package opstack

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// Family is a network of this package. It is safe for concurrent use.
type Family struct {
	c       Config
	rules   *rules.Rules
	spec    ledger.Spec
	genesis chain.Block
}

var (
	_ ledger.Family       = (*Family)(nil)
	_ ledger.Lister       = (*Family)(nil)
	_ chain.BodiesChecker = (*Family)(nil)
)

// New makes the family of a network.
func New(c Config) (*Family, error) {
	if c.Network == "" {
		c.Network = strconv.FormatUint(c.ChainID, 10)
	}
	var errs []error
	if len(c.Network) > 64 {
		errs = append(errs, fmt.Errorf("opstack: network name %.80q has %d bytes, at most 64", c.Network, len(c.Network)))
	}
	genesis, err := c.Genesis.block()
	errs = append(errs, err)
	forks, err := c.schedule()
	errs = append(errs, err)
	cfg := c.rules(forks, genesis.Header.Ref.Number, uint64(genesis.Header.Time.Unix()))
	if err := errors.Join(append(errs, cfg.Validate())...); err != nil {
		return nil, err
	}
	f := &Family{c: c, genesis: genesis}
	if f.rules, err = rules.New(cfg); err != nil {
		return nil, err
	}
	f.spec = ledger.Spec{Network: c.Network, Genesis: genesis, Rules: ledgerRules(forks)}
	return f, nil
}

// Spec implements ledger.Family.
func (f *Family) Spec() ledger.Spec { return f.spec }

// Rules is the table of gossip, which the wire of the network shares.
func (f *Family) Rules() *rules.Rules { return f.rules }

// Config is what the family was made of.
func (f *Family) Config() Config { return f.c }

// Check implements chain.Checker: the part of the table that needs a decoded
// block. It reads the wall clock, and remembers what it accepted at recent
// heights, so that it accepts a block once.
func (f *Family) Check(b chain.Block) chain.Verdict {
	if why := f.rules.Judge(b); why != nil {
		return why.Verdict
	}
	return chain.Accepted()
}

// DecodeHeader implements ledger.Family.
func (f *Family) DecodeHeader(b []byte) (chain.Header, error) {
	if len(b) > 0 && b[0] == anchorTag {
		if string(b) != string(f.genesis.Header.Bytes) {
			return chain.Header{}, errors.New("opstack: an anchor that is not our genesis")
		}
		return f.genesis.Header, nil
	}
	e, _, err := codec.ParseHeader(b)
	if err != nil {
		return chain.Header{}, err
	}
	return headerOf(e, b), nil
}

func headerOf(e *codec.Envelope, b []byte) chain.Header {
	return chain.Header{Ref: chain.Ref{Number: e.Number, Hash: e.BlockHash}, Parent: e.ParentHash, Time: codec.TimeOf(e.Time), Bytes: b}
}

// VerifyHeaders implements chain.Checker. It sees that headers link and keep
// the rules; that they are authentic is known by the block that they lead up to.
func (f *Family) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	for i, h := range hs {
		if err := f.verifyHeader(parent, h); err != nil {
			return i, fmt.Errorf("opstack: header %v: %w: %w", h.Ref, chain.ErrInvalid, err)
		}
		parent = h
	}
	return len(hs), nil
}

func (f *Family) verifyHeader(parent, h chain.Header) error {
	e, _, err := codec.ParseHeader(h.Bytes)
	if err != nil {
		return err
	}
	jovian := f.rules.Config().Forks.Jovian
	switch {
	case !codec.Describes(e, h):
		return fmt.Errorf("its bytes are those of %v", headerOf(e, nil).Ref)
	case h.Parent != parent.Ref.Hash:
		return fmt.Errorf("its parent is %v, want %v", h.Parent, parent.Ref)
	case h.Ref.Number != parent.Ref.Number+1:
		return fmt.Errorf("its parent has number %d", parent.Ref.Number)
	case !h.Time.After(parent.Time):
		return fmt.Errorf("its time %v is not after its parent's %v", h.Time, parent.Time)
	case (e.Version == codec.V2 || e.Version == codec.V3) && e.WithdrawalsRoot != codec.EmptyRoot:
		return errors.New("it has withdrawals")
	case e.ExcessBlobGas != 0:
		return errors.New("it has excess blob gas")
	case e.BlobGasUsed != 0 && (jovian == rules.Never || e.Time < jovian):
		return errors.New("it has used blob gas before Jovian")
	}
	return nil
}

// VerifyBody implements chain.Checker. Extra is empty or a signature, which is
// not judged: the signer may have changed since.
func (f *Family) VerifyBody(h chain.Header, body, extra []byte) error {
	return f.VerifyBodies([]chain.Block{{Header: h, Body: body, Extra: extra}})[0]
}

// VerifyBodies implements chain.BodiesChecker.
func (f *Family) VerifyBodies(bs []chain.Block) []error {
	errs := make([]error, len(bs))
	of, whose := make([]codec.Body, 0, len(bs)), make([]int, 0, len(bs))
	for i, b := range bs {
		if n := len(b.Extra); n != 0 && n != codec.SignatureSize {
			errs[i] = fmt.Errorf("it has %d extra bytes, want none or a signature of %d", n, codec.SignatureSize)
			continue
		}
		if f.rules.Rooted(b.Header.Ref.Hash, b.Body) {
			continue
		}
		e, root, err := codec.ParseHeader(b.Header.Bytes)
		switch {
		case err != nil:
			errs[i] = err
		case !codec.Describes(e, b.Header):
			errs[i] = errors.New("its header is another block's")
		default:
			of = append(of, codec.Body{Header: e, Root: root, Body: b.Body, Extra: b.Extra})
			whose = append(whose, i)
		}
	}
	for k, err := range codec.CheckBodies(of) {
		errs[whose[k]] = err
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("opstack: body of block %v: %w: %w", bs[i].Header.Ref, chain.ErrInvalid, err)
		}
	}
	return errs
}

// Txs implements ledger.Family. A transaction's hash is that of its bytes, its
// kind the type byte of EIP-2718, 0 for one from before; senders are not known.
func (f *Family) Txs(b chain.Block) ([]chain.Tx, error) {
	txs, errs := f.TxsOf([]chain.Block{b})
	return txs[0], errs[0]
}

// TxsOf implements ledger.Lister.
func (f *Family) TxsOf(bs []chain.Block) (txs [][]chain.Tx, errs []error) {
	txs, errs = make([][]chain.Tx, len(bs)), make([]error, len(bs))
	lists := make([][]byte, len(bs))
	for i, b := range bs {
		if errs[i] = codec.CheckTxs(b.Body); errs[i] == nil {
			lists[i] = b.Body
		}
	}
	for i, hashes := range codec.TxHashesOf(lists) {
		if errs[i] != nil {
			continue
		}
		txs[i] = make([]chain.Tx, len(hashes))
		for k, raw := range codec.Transactions(lists[i]) {
			tx := chain.Tx{Hash: hashes[k], Bytes: raw}
			if len(raw) > 0 && raw[0] < 0x80 {
				tx.Kind = raw[0]
			}
			txs[i][k] = tx
		}
	}
	return txs, errs
}
