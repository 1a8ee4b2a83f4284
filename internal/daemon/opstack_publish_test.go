package daemon

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// following turns a config into that of a node of the chain that producing
// makes, without its key; foreign is a block that somebody else makes of it.
func following(t *testing.T) (change func(*Config), foreign func(parent chain.Ref) *codec.Envelope) {
	t.Helper()
	produce := producing(t)
	var began uint64
	change = func(c *Config) {
		produce(c)
		o := &c.Networks[0].OPStack
		o.Sequencer, o.SequencerKey, began = opAccount, "", o.GenesisTime
	}
	foreign = func(parent chain.Ref) *codec.Envelope {
		e, err := codec.Draft{Version: codec.V4, Parent: parent, Time: began + parent.Number + 1}.Envelope()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	return change, foreign
}

// signedWith makes what opstack_publishBlockV1 takes.
func signedWith(t *testing.T, key string, e *codec.Envelope) codec.Signed {
	t.Helper()
	k, err := codec.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := k.SignEnvelope(901, e)
	if err != nil {
		t.Fatal(err)
	}
	return codec.Signed{Envelope: e, Signature: sig}
}

func refOf(e *codec.Envelope) chain.Ref { return chain.Ref{Number: e.Number, Hash: e.BlockHash} }

func TestForeignPayloadsArePublished(t *testing.T) {
	follow, foreign := following(t)
	a := serveOP(t, follow)
	heard := a.node.node.Client().Subscribe(inTime(t), 0)
	b := serveOP(t, follow, func(c *Config) { c.Networks[0].Static = a.ready.Addrs })
	for ev := range heard.C() {
		if e, ok := ev.(starling.TopicChanged); ok && e.Joined && strings.HasSuffix(e.Topic, "/3/blocks") {
			break
		}
	}
	genesis, err := chain.ParseHash(a.node.Status().Genesis)
	if err != nil {
		t.Fatal(err)
	}
	c := a.dial(t)
	one := foreign(chain.Ref{Hash: genesis})
	var out OPPublished
	if err := json.Unmarshal(askOP(t, c, "opstack_publishBlockV1", signedWith(t, opKey, one)), &out); err != nil || out.Held || out.Queued != 1 {
		t.Errorf("opstack_publishBlockV1 gave %+v (%v), want one copy", out, err)
	}
	b.reaches(t, 1)

	// One that is vouched for is told to nobody, and still there for who asks.
	two := foreign(refOf(one))
	if got := string(askOP(t, c, "admin_postUnsafePayload", two)); got != "null" {
		t.Errorf("admin_postUnsafePayload gave %s", got)
	}
	a.reaches(t, 2)
	if got := b.node.Status().Head.Number; got != 1 {
		t.Errorf("the other node is at %d: it was told", got)
	}
	three := foreign(refOf(two))
	askOP(t, c, "opstack_publishBlockV1", signedWith(t, opKey, three))
	b.reaches(t, 3)
}

func TestForeignPayloadsAreChecked(t *testing.T) {
	follow, foreign := following(t)
	a := serveOP(t, follow)
	genesis, err := chain.ParseHash(a.node.Status().Genesis)
	if err != nil {
		t.Fatal(err)
	}
	good := foreign(chain.Ref{Hash: genesis})
	wrongHash, wrongVersion := *good, *good
	wrongHash.StateRoot[0]++
	wrongVersion.Version = codec.V3
	orphan := foreign(chain.Ref{Number: 1, Hash: chain.Hash{1}})
	c := a.dial(t)
	for _, tt := range []struct {
		name, method string
		param        any
		want         string
	}{
		{"a stranger's", "opstack_publishBlockV1", signedWith(t, strings.Repeat("2", 64), good), "bad-signature"},
		{"changed", "opstack_publishBlockV1", signedWith(t, opKey, &wrongHash), "payload has bad block hash"},
		{"of another version", "opstack_publishBlockV1", signedWith(t, opKey, &wrongVersion), "is a V3, and at its time a V4 is due"},
		{"not signed", "opstack_publishBlockV1", codec.Signed{Envelope: good}, "a signature of 65 bytes"},
		{"nothing", "opstack_publishBlockV1", nil, "want an envelope"},
		{"changed, posted", "admin_postUnsafePayload", &wrongHash, "payload has bad block hash"},
		{"nothing, posted", "admin_postUnsafePayload", nil, "want an envelope"},
	} {
		var own *rpc.Error
		if err := c.Call(inTime(t), tt.method, nil, tt.param); !errors.As(err, &own) || !strings.Contains(own.Message, tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if got := a.node.Status().Head.Number; got != 0 {
		t.Errorf("the head is %d", got)
	}
	// One whose parent is not here is taken, and waits.
	if got := string(askOP(t, c, "admin_postUnsafePayload", orphan)); got != "null" {
		t.Errorf("an orphan: %s", got)
	}
	// With nobody there, the block is imported and held.
	var out OPPublished
	if err := json.Unmarshal(askOP(t, c, "opstack_publishBlockV1", signedWith(t, opKey, good)), &out); err != nil || !out.Held {
		t.Errorf("with nobody there: %+v (%v)", out, err)
	}
	a.reaches(t, 1)
	raw, err := json.Marshal(signedWith(t, opKey, good))
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"opstack_publishBlockV1", "admin_postUnsafePayload"} {
		if status, text := a.post(t, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":[`+string(raw)+`]}`, false); !strings.Contains(text, "-32010") {
			t.Errorf("%s without a token: %d %s", method, status, text)
		}
	}
}
