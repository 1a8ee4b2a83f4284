package rlpx

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/subtle"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"

	"github.com/starlingp2p/starling/wire/internal/keccak"
)

const (
	sharedLen = 16 // half of an ECDH secret, as crypto/ecies counts
	nonceLen  = 32
	pubLen    = 64 // a public key without the format byte
	sigLen    = crypto.SignatureLength
)

// agreement is what the two sides put into a connection's secrets.
type agreement struct {
	initiator           bool
	ephemeral           *ecies.PrivateKey
	remoteEphemeral     *ecies.PublicKey
	initNonce, accNonce [nonceLen]byte
	auth, ack           []byte // packets as they were on the wire
}

// secrets are a connection's ciphers and MACs.
type secrets struct {
	enc, dec cipher.Stream
	out, in  *mac
}

// derive computes the secrets (RLPx specification, "Handshake").
func (a *agreement) derive() (secrets, error) {
	agreed, err := a.ephemeral.GenerateShared(a.remoteEphemeral, sharedLen, sharedLen)
	if err != nil {
		return secrets{}, ErrHandshake
	}
	shared := crypto.Keccak256(agreed, crypto.Keccak256(a.accNonce[:], a.initNonce[:]))
	aesKey := crypto.Keccak256(agreed, shared)
	macKey := crypto.Keccak256(agreed, aesKey)

	stream, err := aes.NewCipher(aesKey)
	if err != nil {
		return secrets{}, ErrHandshake
	}
	block, err := aes.NewCipher(macKey)
	if err != nil {
		return secrets{}, ErrHandshake
	}
	// The key serves one connection, so an IV of zero repeats nothing.
	iv := make([]byte, aes.BlockSize)
	s := secrets{enc: cipher.NewCTR(stream, iv), dec: cipher.NewCTR(stream, iv)}
	ofInitiator := seeded(block, macKey, a.accNonce[:], a.auth)
	ofAcceptor := seeded(block, macKey, a.initNonce[:], a.ack)
	if a.initiator {
		s.out, s.in = ofInitiator, ofAcceptor
	} else {
		s.out, s.in = ofAcceptor, ofInitiator
	}
	return s, nil
}

// seeded is the MAC of what one side sends, which begins with its handshake packet.
func seeded(block cipher.Block, key, nonce, packet []byte) *mac {
	h := keccak.New()
	seed := make([]byte, nonceLen)
	subtle.XORBytes(seed, key, nonce)
	h.Write(seed)
	h.Write(packet)
	return newMAC(block, h)
}

// importKey makes a public key of its 64 bytes; nil unless it is a point of the curve.
func importKey(b []byte) *ecdsa.PublicKey {
	k, err := crypto.UnmarshalPubkey(append([]byte{4}, b...))
	if err != nil {
		return nil
	}
	return k
}

// exportKey is the inverse of importKey.
func exportKey(k *ecdsa.PublicKey) []byte { return crypto.FromECDSAPub(k)[1:] }
