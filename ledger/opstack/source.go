package opstack

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// Source tells who signs the blocks of a network now.
type Source interface {
	// Signer may block until ctx ends.
	Signer(ctx context.Context) (codec.Address, error)
}

// FileSource is a file that holds an account of 40 hex digits.
type FileSource struct{ Path string }

// maxSignerFile bounds what is read of it, in bytes.
const maxSignerFile = 4096

// Signer implements Source.
func (s FileSource) Signer(context.Context) (codec.Address, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return codec.Address{}, fmt.Errorf("opstack: signer file: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSignerFile))
	if err != nil {
		return codec.Address{}, fmt.Errorf("opstack: signer file: %w", err)
	}
	a, err := codec.ParseAddress(strings.TrimSpace(string(raw)))
	if err != nil {
		return a, fmt.Errorf("opstack: signer file %q: %w", s.Path, err)
	}
	return a, nil
}

// signerSlot is where the SystemConfig contract keeps the account:
// keccak256("systemconfig.unsafeblocksigner") (op-node/node/runcfg).
const signerSlot = "0x65a7ed542fb37fe237fdfbdd70b31598523fe5b32879e307bae27a0bd9581c08"

// L1Source reads the account from the network's SystemConfig contract on L1.
type L1Source struct {
	rpc      *caller
	contract codec.Address
	depth    uint64
}

// NewL1Source makes a source that asks the JSON-RPC of an L1 node, as of depth
// blocks below its head (op-node's verifier confirmation depth; 0: the head).
func NewL1Source(endpoint string, contract codec.Address, depth uint64) (*L1Source, error) {
	rpc, err := newCaller(endpoint, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("opstack: L1 endpoint: %w", err)
	}
	if contract == (codec.Address{}) {
		return nil, errors.New("opstack: the address of the SystemConfig contract is missing")
	}
	return &L1Source{rpc, contract, depth}, nil
}

// Close ends idle connections.
func (s *L1Source) Close() { s.rpc.close() }

// Signer implements Source.
func (s *L1Source) Signer(ctx context.Context) (codec.Address, error) {
	var head, value string
	if err := s.rpc.call(ctx, "eth_blockNumber", []any{}, &head); err != nil {
		return codec.Address{}, fmt.Errorf("opstack: L1 at %s: %w", s.rpc.host, err)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(head, "0x"), 16, 64)
	if err != nil || n < s.depth {
		return codec.Address{}, fmt.Errorf("opstack: L1 at %s: head %q is no block number of at least %d", s.rpc.host, peer.Clean(head), s.depth)
	}
	at := "0x" + strconv.FormatUint(n-s.depth, 16)
	if err := s.rpc.call(ctx, "eth_getStorageAt", []any{s.contract.String(), signerSlot, at}, &value); err != nil {
		return codec.Address{}, fmt.Errorf("opstack: L1 at %s: %w", s.rpc.host, err)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(value, "0x"))
	if err != nil || len(raw) != 32 || [12]byte(raw) != [12]byte{} {
		return codec.Address{}, fmt.Errorf("opstack: L1 at %s: the slot of the signer holds %q, which is no account: is %v the SystemConfig?", s.rpc.host, peer.Clean(value), s.contract)
	}
	a := codec.Address(raw[12:])
	if a == (codec.Address{}) {
		return a, fmt.Errorf("opstack: L1 at %s: the slot of the signer is empty: is %v the SystemConfig?", s.rpc.host, s.contract)
	}
	return a, nil
}

// How often a source is asked.
const (
	L1Every   = 10 * time.Minute // op-node's l1.runtime-config-reload-interval
	FileEvery = 10 * time.Second
	askTime   = 30 * time.Second // one time
	firstBack = 5 * time.Second  // after a failure; it doubles, up to the interval
)

// WatchSigner asks a source, now and each interval, and makes what it says the
// signer, until ctx ends; its cause is given back. A failure changes nothing
// and is tried again sooner.
func WatchSigner(ctx context.Context, s Source, every time.Duration, signers *rules.Signers, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	back := min(firstBack, every)
	for {
		asked, cancel := context.WithTimeout(ctx, askTime)
		a, err := s.Signer(asked)
		cancel()
		wait := every
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			log.Warn("opstack: the block signer is not known for sure", "err", err, "signer", signers.Current().String())
			wait, back = back, min(2*back, every)
		default:
			back = min(firstBack, every)
			if old := signers.Current(); signers.Set(a) {
				log.Info("opstack: the block signer", "signer", a.String(), "before", old.String())
			}
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
}
