package rlpx

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/subtle"
	"net"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/ecies"
)

// Initiate runs the handshake as the side that dialled, with the key of the
// peer that it means to reach. It blocks until the handshake has ended or the
// link's deadline, which the caller sets. The error is ErrHandshake, or the
// link's. nc stays the caller's to close, and nothing was read of it beyond the
// handshake.
func Initiate(nc net.Conn, key *ecdsa.PrivateKey, remote *ecdsa.PublicKey) (*Codec, error) {
	a := agreement{initiator: true}
	static := ecies.ImportECDSAPublic(remote)
	token, err := ecies.ImportECDSA(key).GenerateShared(static, sharedLen, sharedLen)
	if err != nil {
		return nil, ErrHandshake
	}
	if err := a.draw(&a.initNonce); err != nil {
		return nil, err
	}
	msg := auth{nonce: a.initNonce}
	copy(msg.pub[:], exportKey(&key.PublicKey))
	signed := make([]byte, nonceLen)
	subtle.XORBytes(signed, token, a.initNonce[:])
	sig, err := crypto.Sign(signed, a.ephemeral.ExportECDSA())
	if err != nil {
		return nil, ErrHandshake
	}
	copy(msg.sig[:], sig)
	if a.auth, err = seal(static, msg.append(nil)); err != nil {
		return nil, err
	}
	if _, err := nc.Write(a.auth); err != nil {
		return nil, err
	}

	var plain []byte
	if a.ack, plain, err = open(nc, key); err != nil {
		return nil, err
	}
	answer, ok := decodeAck(plain)
	if !ok {
		return nil, ErrHandshake
	}
	theirs := importKey(answer.pub[:])
	if theirs == nil {
		return nil, ErrHandshake
	}
	a.remoteEphemeral = ecies.ImportECDSAPublic(theirs)
	a.accNonce = answer.nonce
	return connect(remote, &a)
}

// Respond runs the handshake as the side that was dialled. Codec.Remote tells
// who did. Otherwise it is like Initiate.
func Respond(nc net.Conn, key *ecdsa.PrivateKey) (*Codec, error) {
	var a agreement
	var plain []byte
	var err error
	if a.auth, plain, err = open(nc, key); err != nil {
		return nil, err
	}
	msg, ok := decodeAuth(plain)
	if !ok {
		return nil, ErrHandshake
	}
	remote := importKey(msg.pub[:])
	if remote == nil {
		return nil, ErrHandshake
	}
	static := ecies.ImportECDSAPublic(remote)
	token, err := ecies.ImportECDSA(key).GenerateShared(static, sharedLen, sharedLen)
	if err != nil {
		return nil, ErrHandshake
	}
	a.initNonce = msg.nonce
	signed := make([]byte, nonceLen)
	subtle.XORBytes(signed, token, msg.nonce[:])
	theirs, err := crypto.SigToPub(signed, msg.sig[:])
	if err != nil {
		return nil, ErrHandshake
	}
	a.remoteEphemeral = ecies.ImportECDSAPublic(theirs)

	if err := a.draw(&a.accNonce); err != nil {
		return nil, err
	}
	answer := ack{nonce: a.accNonce}
	copy(answer.pub[:], exportKey(a.ephemeral.PublicKey.ExportECDSA()))
	if a.ack, err = seal(static, answer.append(nil)); err != nil {
		return nil, err
	}
	if _, err := nc.Write(a.ack); err != nil {
		return nil, err
	}
	return connect(remote, &a)
}

// draw makes our ephemeral key and a nonce.
func (a *agreement) draw(nonce *[nonceLen]byte) error {
	key, err := crypto.GenerateKey()
	if err != nil {
		return ErrHandshake
	}
	a.ephemeral = ecies.ImportECDSA(key)
	if _, err := rand.Read(nonce[:]); err != nil {
		return ErrHandshake
	}
	return nil
}

func connect(remote *ecdsa.PublicKey, a *agreement) (*Codec, error) {
	s, err := a.derive()
	if err != nil {
		return nil, err
	}
	return newCodec(remote, s), nil
}
