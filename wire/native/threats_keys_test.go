package native

import (
	"encoding/hex"
	"testing"

	"github.com/starlingp2p/starling/wire/wiretest"
)

// TestLowOrderKeysGiveNoHandshake sends, as the ephemeral key of a Noise
// handshake, points of X25519 with which everybody shares the same secret, and
// encodings outside the field (RFC 7748 §6.1). Threat row H-03.
func TestLowOrderKeysGiveNoHandshake(t *testing.T) {
	a, b := start(t, loopback(false), &wiretest.Host{}), start(t, loopback(false), &wiretest.Host{})
	for _, key := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"0100000000000000000000000000000000000000000000000000000000000000", // order 1
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", // order 8
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", // order 8
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p-1, order 2
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, is 0
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p+1, is 1
	} {
		raw, err := hex.DecodeString(key)
		if err != nil || len(raw) != 32 {
			t.Fatalf("key %s: %v", key, err)
		}
		hangsUp(t, a, append([]byte("\x13/multistream/1.0.0\n\x07/noise\n\x00\x20"), raw...))
	}
	hangsUp(t, a, []byte("\x13/multistream/1.0.0\n\x07/noise\n\x00\x10short")) // a key cut short
	if n := len(a.host.Opened()); n != 0 {
		t.Errorf("%d sessions came of such keys", n)
	}
	if err := b.Dial(within(t, patience), a.Addrs()[0]); err != nil {
		t.Errorf("an honest dial afterwards: %v", err)
	}
	uncharged(t, a, b)
}
