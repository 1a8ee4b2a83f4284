package jwt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/jwt"
)

var now = time.Unix(1_700_000_000, 500e6)

func secret(t testing.TB, text string) jwt.Secret {
	t.Helper()
	s, err := jwt.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// foreign was made with Python's hmac, hashlib and base64, over a secret of 32
// bytes 0x11 and the time 1700000000.
const foreign = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDB9.0bsHxYIRfvNN8zBr-xluzbY37bIxsIO9jN9Ik11KWC4"

// What we make is taken, a minute before and after, and not later. Threat A-04.
func TestTokensCountForAMinute(t *testing.T) {
	s := secret(t, "0x"+strings.Repeat("11", 32))
	token := s.Token(now)
	for _, tt := range []struct {
		at   time.Duration
		want error
	}{{0, nil}, {59 * time.Second, nil}, {-59 * time.Second, nil}, {62 * time.Second, jwt.ErrTime}, {-62 * time.Second, jwt.ErrTime}, {24 * time.Hour, jwt.ErrTime}} {
		if err := s.Check(token, now.Add(tt.at)); !errors.Is(err, tt.want) {
			t.Errorf("%v later it is %v, want %v", tt.at, err, tt.want)
		}
	}
	if err := s.Check(foreign, now); err != nil {
		t.Errorf("one made elsewhere: %v", err)
	}
	if err := secret(t, strings.Repeat("12", 32)).Check(token, now); !errors.Is(err, jwt.ErrSignature) {
		t.Errorf("by another secret it is %v", err)
	}
}

// What is not signed as we sign is refused, whatever it says of itself: no
// algorithm, another one, no time, garbage. Threat A-04.
func TestOtherTokensAreRefused(t *testing.T) {
	s := secret(t, strings.Repeat("11", 32))
	good := strings.Split(s.Token(now), ".")
	for name, token := range map[string]string{
		"empty":             "",
		"two parts":         good[0] + "." + good[1],
		"four parts":        s.Token(now) + ".",
		"no signature":      good[0] + "." + good[1] + ".",
		"alg none":          "eyJhbGciOiJub25lIn0." + good[1] + ".",
		"a cut signature":   good[0] + "." + good[1] + "." + good[2][:20],
		"not base64":        good[0] + "." + good[1] + ".!!!!",
		"another time":      good[0] + ".eyJpYXQiOjE3MDAwMDAwMDF9." + good[2],
		"too long":          strings.Repeat("a", jwt.MaxToken+1),
		"as one overhears":  "Bearer " + s.Token(now),
		"another algorithm": jwt.Sign(s, `{"alg":"HS512"}`, `{"iat":1700000000}`),
		"signed none":       jwt.Sign(s, `{"alg":"none"}`, `{"iat":1700000000}`),
		"no time":           jwt.Sign(s, `{"alg":"HS256"}`, `{}`),
		"a time in words":   jwt.Sign(s, `{"alg":"HS256"}`, `{"iat":"now"}`),
		"a huge time":       jwt.Sign(s, `{"alg":"HS256"}`, `{"iat":1e300}`),
		"expired":           jwt.Sign(s, `{"alg":"HS256"}`, `{"iat":1700000000,"exp":1699999999}`),
		"two claims":        jwt.Sign(s, `{"alg":"HS256"}`, `{"iat":1700000000}{"iat":1700000000}`),
		"no object":         jwt.Sign(s, `{"alg":"HS256"}`, `17`),
	} {
		if err := s.Check(token, now); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	for _, claims := range []string{`{"iat":1700000000}`, `{"iat":1700000030.5,"exp":1700000031}`, `{"iat":1699999970,"id":"lighthouse","clv":"v7"}`} {
		if err := s.Check(jwt.Sign(s, `{"typ":"JWT","alg":"HS256"}`, claims), now); err != nil {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

// A secret is 32 bytes in hex; what is none is not repeated, nor is one printed.
func TestSecretsDoNotShow(t *testing.T) {
	for _, text := range []string{"", "0x", strings.Repeat("1", 63), strings.Repeat("1", 66), strings.Repeat("z", 64)} {
		if _, err := jwt.ParseSecret(text); err == nil || len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
			t.Errorf("%q: %v", text, err)
		}
	}
	s := secret(t, strings.Repeat("ab", 32)+"\n")
	if text := fmt.Sprintf("%v %s", s, s); strings.Contains(text, "ab") || strings.Contains(text, "171") {
		t.Errorf("it shows: %s", text)
	}
}

func FuzzCheck(f *testing.F) {
	var s jwt.Secret
	f.Add(s.Token(now))
	f.Add(jwt.Sign(s, `{"alg":"HS256"}`, `{"iat":1700000000,"exp":1e9}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if s.Check(token, now) == nil && !strings.HasPrefix(token, "ey") {
			t.Errorf("%q is taken", token)
		}
	})
}
