package keyfile

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
	"golang.org/x/crypto/sha3"
)

// sealed is a keystore file, as the Web3 Secret Storage Definition of version 3
// has it.
type sealed struct {
	Address string `json:"address"`
	Crypto  struct {
		Cipher       string `json:"cipher"`
		CipherParams struct {
			IV hexBytes `json:"iv"`
		} `json:"cipherparams"`
		CipherText hexBytes  `json:"ciphertext"`
		KDF        string    `json:"kdf"`
		KDFParams  kdfParams `json:"kdfparams"`
		MAC        hexBytes  `json:"mac"`
	} `json:"crypto"`
	ID      string `json:"id"`
	Version int    `json:"version"`
}

type kdfParams struct {
	DKLen int      `json:"dklen"`
	Salt  hexBytes `json:"salt"`
	N     int      `json:"n,omitempty"` // scrypt
	R     int      `json:"r,omitempty"`
	P     int      `json:"p,omitempty"`
	C     int      `json:"c,omitempty"` // pbkdf2
	PRF   string   `json:"prf,omitempty"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(bytes.TrimPrefix(text, []byte("0x"))))
	return err
}

// Costs of a new keystore: those of geth's standard.
const (
	scryptN = 1 << 18
	scryptR = 8
	scryptP = 1
)

// Bounds of what a file may ask for.
const (
	maxScryptMemory = 512 << 20 // bytes
	maxScryptWork   = 1 << 24   // N·r·p
	maxIterations   = 10_000_000
)

var (
	errPassword   = errors.New("keyfile: the password is not that of the keystore")
	errNoPassword = errors.New("keyfile: a keystore needs a password; give one with --password-file FILE")
)

// derive makes the 32 bytes of key material.
func (p kdfParams) derive(kdf string, password []byte) ([]byte, error) {
	if p.DKLen != 32 || len(p.Salt) > 1024 {
		return nil, fmt.Errorf("keyfile: the keystore wants %d bytes of key and %d of salt, want 32 and at most 1024", p.DKLen, len(p.Salt))
	}
	switch kdf {
	case "scrypt":
		if p.N <= 1 || p.R < 1 || p.P < 1 || p.N > maxScryptMemory/128 || p.R > maxScryptMemory/128/p.N || p.P > maxScryptWork/p.N/p.R {
			return nil, fmt.Errorf("keyfile: the keystore's scrypt wants n=%d r=%d p=%d, which is out of bounds", p.N, p.R, p.P)
		}
		key, err := scrypt.Key(password, p.Salt, p.N, p.R, p.P, p.DKLen)
		if err != nil {
			return nil, fmt.Errorf("keyfile: %w", err)
		}
		return key, nil
	case "pbkdf2":
		if p.PRF != "hmac-sha256" || p.C < 1 || p.C > maxIterations {
			return nil, fmt.Errorf("keyfile: the keystore's pbkdf2 wants c=%d and %.40q, want at most %d and \"hmac-sha256\"", p.C, p.PRF, maxIterations)
		}
		key, err := pbkdf2.Key(sha256.New, string(password), p.Salt, p.C, p.DKLen)
		if err != nil {
			return nil, fmt.Errorf("keyfile: %w", err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("keyfile: the keystore's kdf is %.40q, want \"scrypt\" or \"pbkdf2\"", kdf)
}

func seal(k Key, password []byte) ([]byte, error) { return sealWith(k, password, scryptN) }

func sealWith(k Key, password []byte, n int) ([]byte, error) {
	if len(password) == 0 {
		return nil, errNoPassword
	}
	var s sealed
	s.Version, s.Address = 3, hex.EncodeToString(k.address())
	var id [16]byte
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	s.ID = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	c := &s.Crypto
	c.Cipher, c.KDF = "aes-128-ctr", "scrypt"
	c.CipherParams.IV = make([]byte, aes.BlockSize)
	c.KDFParams = kdfParams{DKLen: 32, Salt: make([]byte, 32), N: n, R: scryptR, P: scryptP}
	rand.Read(c.CipherParams.IV)
	rand.Read(c.KDFParams.Salt)
	key, err := c.KDFParams.derive(c.KDF, password)
	if err != nil {
		return nil, err
	}
	c.CipherText = crypt(key, c.CipherParams.IV, k.secret[:])
	c.MAC = mac(key, c.CipherText)
	out, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return out, nil
}

func unseal(raw, password []byte) (Key, error) {
	var s sealed
	if err := json.Unmarshal(raw, &s); err != nil {
		return Key{}, fmt.Errorf("keyfile: the file is JSON, but no keystore: %w", err)
	}
	c := &s.Crypto
	if s.Version != 3 || c.Cipher != "aes-128-ctr" || len(c.CipherParams.IV) != aes.BlockSize {
		return Key{}, fmt.Errorf("keyfile: a keystore of version %d with cipher %.40q, want 3 and \"aes-128-ctr\"", s.Version, c.Cipher)
	}
	if len(c.CipherText) != secretBytes {
		return Key{}, fmt.Errorf("keyfile: the keystore holds %d bytes, want %d", len(c.CipherText), secretBytes)
	}
	if len(password) == 0 {
		return Key{}, errNoPassword
	}
	key, err := c.KDFParams.derive(c.KDF, password)
	if err != nil {
		return Key{}, err
	}
	if subtle.ConstantTimeCompare(mac(key, c.CipherText), c.MAC) != 1 {
		return Key{}, errPassword
	}
	return fromSecret(Secp256k1, crypt(key, c.CipherParams.IV, c.CipherText))
}

// crypt is AES-128 in counter mode, which is its own inverse.
func crypt(key, iv, in []byte) []byte {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	out := make([]byte, len(in))
	cipher.NewCTR(block, iv).XORKeyStream(out, in)
	return out
}

func mac(key, text []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write(key[16:32])
	h.Write(text)
	return h.Sum(nil)
}
