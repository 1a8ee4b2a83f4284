package jwt

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// SecretSize is a secret's length in bytes (authentication.md).
const SecretSize = 32

// Drift is how far a token's time may be from ours (authentication.md).
const Drift = 60 * time.Second

// MaxToken bounds a token that is looked at, in bytes.
const MaxToken = 4 << 10

// Secret is what both sides know. Its text shows nothing of it.
type Secret [SecretSize]byte

// String keeps it out of logs.
func (Secret) String() string { return "secret" }

// ParseSecret reads 64 hex digits, with or without "0x". Its error does not
// repeat them.
func ParseSecret(text string) (s Secret, err error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(strings.TrimSpace(text), "0x"))
	if err != nil || len(raw) != SecretSize {
		return s, fmt.Errorf("jwt: a secret has %d hex digits", 2*SecretSize)
	}
	return Secret(raw), nil
}

// header is {"alg":"HS256","typ":"JWT"}.
const header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"

var encoding = base64.RawURLEncoding.Strict()

// Token is a token of now.
func (s Secret) Token(now time.Time) string {
	signed := header + "." + encoding.EncodeToString(fmt.Appendf(nil, `{"iat":%d}`, now.Unix()))
	return signed + "." + encoding.EncodeToString(s.sign(signed))
}

func (s Secret) sign(text string) []byte {
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte(text))
	return m.Sum(nil)
}

// The causes for which a token is refused.
var (
	ErrForm      = errors.New("jwt: it is no token")
	ErrSignature = errors.New("jwt: it is not signed with our secret; both sides must read the same file")
	ErrTime      = errors.New("jwt: its time is over a minute from ours; look at both clocks")
)

// Check refuses a token that is not signed with the secret by HS256, or whose
// time is more than Drift from now, or that has expired. It takes the time that
// the token's length takes, whatever the secret is.
func (s Secret) Check(token string, now time.Time) error {
	if len(token) > MaxToken {
		return ErrForm
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ErrForm
	}
	sum, err := encoding.DecodeString(parts[2])
	if err != nil {
		return ErrForm
	}
	if !hmac.Equal(sum, s.sign(parts[0]+"."+parts[1])) {
		return ErrSignature
	}
	var head struct {
		Alg string `json:"alg"`
	}
	if err := decode(parts[0], &head); err != nil || head.Alg != "HS256" {
		return ErrForm
	}
	var claims struct {
		Issued  *float64 `json:"iat"` // a NumericDate, which may have a fraction
		Expires *float64 `json:"exp"`
	}
	if err := decode(parts[1], &claims); err != nil || claims.Issued == nil {
		return ErrForm
	}
	at := float64(now.UnixMilli()) / 1000
	// An iat is in whole seconds: one of this second lies up to a second back.
	if math.Abs(at-*claims.Issued) > (Drift+time.Second).Seconds() || claims.Expires != nil && at >= *claims.Expires {
		return ErrTime
	}
	return nil
}

// decode reads a part that is JSON and nothing more.
func decode(part string, into any) error {
	raw, err := encoding.DecodeString(part)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrForm
	}
	return nil
}
