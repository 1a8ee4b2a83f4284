package codec_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// vector is a block that op-node v1.19.6 made (testdata/op-node-1.19.6.txt).
type vector struct {
	version                  codec.Version
	hash, payloadHash, toSig chain.Hash
	sig, ssz                 []byte
	topic, id                string
}

func golden(tb testing.TB) (vs []vector, signer string) {
	tb.Helper()
	raw, err := os.ReadFile("testdata/op-node-1.19.6.txt")
	if err != nil {
		tb.Fatal(err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
	hash := func(s string) chain.Hash { return chain.Hash(unhex(s)) }
	signer = strings.ToLower(regexp.MustCompile(`seq addr: (0x\w+)`).FindStringSubmatch(string(raw))[1])
	re := regexp.MustCompile(`(?m)^V(\d) ssz_len=\d+ block_hash=(\w+) payload_hash=(\w+) signing_hash=(\w+)\n sig=(\w+)\n ssz=(\w+)\n msgid\((\S+)\)=(\w+)$`)
	for _, m := range re.FindAllStringSubmatch(string(raw), -1) {
		vs = append(vs, vector{
			version: codec.Version(m[1][0] - '0'), hash: hash(m[2]), payloadHash: hash(m[3]), toSig: hash(m[4]),
			sig: unhex(m[5]), ssz: unhex(m[6]), topic: m[7], id: m[8],
		})
	}
	if len(vs) != 4 {
		tb.Fatalf("%d vectors, want 4", len(vs))
	}
	return vs, signer
}

const goldenChain = 901

// envelope is what was signed: the vectors' ssz has the beacon root before it
// where the version calls for one.
func (v vector) envelope() []byte { return v.ssz }

func TestGoldenBlocksDecodeAndEncode(t *testing.T) {
	vs, signer := golden(t)
	for _, v := range vs {
		t.Run(v.version.String(), func(t *testing.T) {
			e, err := codec.DecodeEnvelope(v.envelope(), v.version)
			if err != nil {
				t.Fatal(err)
			}
			if got := codec.AppendEnvelope(nil, e); !bytes.Equal(got, v.envelope()) || e.Size() != len(got) {
				t.Errorf("encoded again: %d bytes that differ (Size %d)", len(got), e.Size())
			}
			if e.BlockHash != v.hash {
				t.Errorf("block hash %v, want %v", e.BlockHash, v.hash)
			}
			b, err := e.Block(v.sig)
			if err != nil {
				t.Fatal(err)
			}
			if got := codec.HeaderHash(b.Header.Bytes); got != v.hash || !codec.CheckHash(b) {
				t.Errorf("header hash %v, CheckHash %v; want %v, true", got, codec.CheckHash(b), v.hash)
			}
			if got := codec.PayloadHash(v.envelope()); got != v.payloadHash {
				t.Errorf("payload hash %v, want %v", got, v.payloadHash)
			}
			if got := codec.SigningHash(goldenChain, v.payloadHash); got != v.toSig {
				t.Errorf("signing hash %v, want %v", got, v.toSig)
			}
			who, err := codec.Recover(v.toSig, v.sig)
			if err != nil || who.String() != signer {
				t.Errorf("Recover = %v, %v; want %s", who, err, signer)
			}
			body := append(append([]byte{}, v.sig...), v.envelope()...)
			if got := hex.EncodeToString([]byte(codec.MessageID(v.topic, body))); got != v.id {
				t.Errorf("message id %s, want %s", got, v.id)
			}
			if got := codec.Topic(goldenChain, v.version); got != v.topic {
				t.Errorf("topic %s, want %s", got, v.topic)
			}
			back, err := codec.EnvelopeOf(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := codec.AppendEnvelope(nil, back); !bytes.Equal(got, v.envelope()) {
				t.Error("the envelope of the block is not the one that it was made of")
			}
		})
	}
}

func TestGoldenMessageIDs(t *testing.T) {
	body := []byte{1, 2, 3, 4, 5}
	for _, tt := range []struct{ name, got, want string }{
		{"not snappy", codec.RawMessageID("test", body), "b6897dcba59347fedcd694cc0f5117093c9dc727"},
		{"snappy", codec.MessageID("test", body), "adbe547b27f41294a08a09210a5e8531e83cdc16"},
		{"topic", codec.MessageID("/optimism/901/3/blocks", body), "ae4f0ea596ef24c740ffcdc6725b447834254204"},
	} {
		if got := hex.EncodeToString([]byte(tt.got)); got != tt.want {
			t.Errorf("%s: id %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestEmptyWithdrawalsRootIsEncodedAsV3 pins a quirk of op-node: such a block
// cannot be decoded by anybody.
func TestEmptyWithdrawalsRootIsEncodedAsV3(t *testing.T) {
	vs, _ := golden(t)
	e, err := codec.DecodeEnvelope(vs[3].envelope(), codec.V4)
	if err != nil {
		t.Fatal(err)
	}
	e.WithdrawalsRoot = codec.EmptyRoot
	b := codec.AppendEnvelope(nil, e)
	if len(b) != 575 || e.Size() != 575 {
		t.Errorf("%d bytes, Size %d; want 575", len(b), e.Size())
	}
	if _, err := codec.DecodeEnvelope(b, codec.V4); err == nil {
		t.Error("it decodes as V4")
	}
	if _, err := codec.DecodeEnvelope(b, codec.V3); err != nil {
		t.Errorf("as V3: %v", err)
	}
}
