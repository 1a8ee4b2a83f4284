package ontology

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// The genesis blocks of both public networks are computed, and are byte for
// byte those that the real v1.0.0 computes.
func TestGenesisBlocksAreComputed(t *testing.T) {
	for name, c := range map[string]struct {
		network Network
		hash    string
	}{
		"main":    {MainNet(), "1b8fa7f242d0eeb4395f89cbb59e4c29634047e33245c4914306e78a88e14ce5"},
		"polaris": {Polaris(), "44425ae42a394ec0c5f3e41d757ffafa790b53f7301147a291ab9b60a956394c"},
	} {
		text, err := os.ReadFile("../../wire/ontology/codec/testdata/ontology-1.0.0/genesis-" + name + ".hex")
		if err != nil {
			t.Fatal(err)
		}
		want, _ := hex.DecodeString(strings.TrimSpace(string(text)))
		got, err := Genesis(c.network)
		if err != nil {
			t.Fatal(err)
		}
		if got.Header.Hash.String() != c.hash || !bytes.Equal(got.Append(nil), want) {
			real, _ := codec.DecodeBlock(want, codec.Strict)
			t.Errorf("%s: hash %s, want %s", name, got.Header.Hash, c.hash)
			t.Logf("payload %s\nwant    %s", got.Header.Payload, real.Header.Payload)
			for i := range real.Txs {
				if got.Txs[i].Hash != real.Txs[i].Hash {
					t.Logf("transaction %d\n%x\n%x", i, got.Txs[i].Raw, real.Txs[i].Raw)
				}
			}
		}
	}
}
