package opstack

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Signer signs blocks of one account. Its methods are safe for concurrent use.
type Signer interface {
	// Address is the account.
	Address() codec.Address
	// Sign signs the hash of an encoded envelope for a chain. It may block until
	// ctx ends.
	Sign(ctx context.Context, chainID uint64, payload chain.Hash) ([]byte, error)
}

// KeySigner signs with a key of ours.
type KeySigner struct{ Key codec.Key }

// Address implements Signer.
func (s KeySigner) Address() codec.Address { return s.Key.Address() }

// Sign implements Signer.
func (s KeySigner) Sign(_ context.Context, chainID uint64, payload chain.Hash) ([]byte, error) {
	return s.Key.Sign(codec.SigningHash(chainID, payload))
}

// RemoteConfig says where a remote signer is. Endpoint and Address are required.
type RemoteConfig struct {
	Endpoint string // http:// or https://
	Account  codec.Address
	Headers  http.Header // sent with each request
	TLS      *tls.Config // certificates of ours and of the signer's; nil: the system's
}

// RemoteSigner asks an op-signer (opsigner_signBlockPayload, as op-node calls
// it). What it gives is checked: a signature of another account is an error.
type RemoteSigner struct {
	cfg RemoteConfig
	rpc *caller
}

// NewRemoteSigner asks the signer for its health, which blocks until it
// answers or ctx ends.
func NewRemoteSigner(ctx context.Context, cfg RemoteConfig) (*RemoteSigner, error) {
	rpc, err := newCaller(cfg.Endpoint, cfg.Headers, cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("opstack: signer endpoint: %w", err)
	}
	if cfg.Account == (codec.Address{}) {
		return nil, errors.New("opstack: the remote signer's address is missing")
	}
	s := &RemoteSigner{cfg: cfg, rpc: rpc}
	var version string
	if err := rpc.call(ctx, "health_status", []any{}, &version); err != nil {
		return nil, fmt.Errorf("opstack: the signer at %s is not well: %w", rpc.host, err)
	}
	return s, nil
}

// Close ends idle connections.
func (s *RemoteSigner) Close() { s.rpc.close() }

// Address implements Signer.
func (s *RemoteSigner) Address() codec.Address { return s.cfg.Account }

// signArgs are what op-node sends: the domain is an array of numbers, the hash
// in base64.
type signArgs struct {
	Domain  [32]byte `json:"domain"`
	ChainID uint64   `json:"chainId"`
	Payload []byte   `json:"payloadHash"`
	Sender  string   `json:"senderAddress"`
}

// Sign implements Signer.
func (s *RemoteSigner) Sign(ctx context.Context, chainID uint64, payload chain.Hash) ([]byte, error) {
	var text string
	args := signArgs{ChainID: chainID, Payload: payload[:], Sender: s.cfg.Account.String()}
	if err := s.rpc.call(ctx, "opsigner_signBlockPayload", []any{args}, &text); err != nil {
		return nil, fmt.Errorf("opstack: remote signer: %w", err)
	}
	sig, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(sig) != codec.SignatureSize {
		return nil, fmt.Errorf("opstack: remote signer: %q is no signature", peer.Clean(text))
	}
	who, err := codec.Recover(codec.SigningHash(chainID, payload), sig)
	if err != nil || who != s.cfg.Account {
		return nil, fmt.Errorf("opstack: remote signer: it signed as %v, want %v", who, s.cfg.Account)
	}
	return sig, nil
}
