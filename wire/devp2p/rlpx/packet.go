package rlpx

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/binary"
	"io"

	"github.com/ethereum/go-ethereum/crypto/ecies"
)

const (
	// maxPacket bounds a handshake packet behind its length: 2 KiB, as geth's
	// p2p/rlpx has it.
	maxPacket = 2048
	// leastPacket is what ECIES adds: a point of 65 bytes, an IV and a MAC.
	leastPacket = 65 + 16 + 32
	// An EIP-8 packet carries 100 bytes of padding or more, by which it differs
	// from the plain form of old.
	leastPadding, padding = 100, 100
)

// seal encrypts a handshake message to a key: two bytes of length, which the
// ciphertext authenticates, and ECIES (EIP-8). plain is appended to.
func seal(to *ecies.PublicKey, plain []byte) ([]byte, error) {
	var draw [1]byte
	if _, err := rand.Read(draw[:]); err != nil {
		return nil, ErrHandshake
	}
	plain = append(plain, make([]byte, leastPadding+int(draw[0])%padding)...)
	prefix := binary.BigEndian.AppendUint16(nil, uint16(len(plain)+leastPacket))
	sealed, err := ecies.Encrypt(rand.Reader, to, plain, nil, prefix)
	if err != nil {
		return nil, ErrHandshake
	}
	return append(prefix, sealed...), nil
}

// open reads a packet and decrypts it. Its length is checked before anything is
// read or allocated. An error of the link is given back as it is.
func open(r io.Reader, key *ecdsa.PrivateKey) (packet, plain []byte, err error) {
	var prefix [2]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, nil, err
	}
	size := int(binary.BigEndian.Uint16(prefix[:]))
	if size > maxPacket || size < leastPacket {
		return nil, nil, ErrHandshake
	}
	packet = make([]byte, len(prefix)+size)
	copy(packet, prefix[:])
	if _, err := io.ReadFull(r, packet[len(prefix):]); err != nil {
		return nil, nil, err
	}
	// crypto/ecies checks that the point is on the curve before it multiplies.
	plain, err = ecies.ImportECDSA(key).Decrypt(packet[len(prefix):], nil, prefix[:])
	if err != nil {
		return nil, nil, ErrHandshake
	}
	return packet, plain, nil
}
