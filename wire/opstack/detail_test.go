package opstack

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// The private key 1 has the Ethereum account 0x7e5f…5bdf, which is the end of
// what discovery knows the key by.
func TestNodeIDIsOfTheKeyInTheIdentity(t *testing.T) {
	key, err := crypto.UnmarshalSecp256k1PrivateKey(append(make([]byte, 31), 1))
	if err != nil {
		t.Fatal(err)
	}
	id, err := libpeer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	n, err := nodeID(id)
	if err != nil || !strings.HasSuffix(n.String(), "7e5f4552091a69125d5dfcb7b8c2659029395bdf") {
		t.Errorf("nodeID = %v, %v", n, err)
	}
	ed25519, err := libpeer.Decode("12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := nodeID(ed25519); err == nil {
		t.Errorf("nodeID of an ed25519 key = %v", n)
	}
	if got, err := ParseID("nobody"); err == nil {
		t.Errorf("ParseID = %v", got)
	}
}
