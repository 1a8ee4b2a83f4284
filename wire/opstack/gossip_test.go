package opstack

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	libhost "github.com/libp2p/go-libp2p/core/host"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// gossiper is a bare host that gossips what it likes on a topic of ours.
func (p *place) gossiper(i int, w *Wire, h *wiretest.Host, v codec.Version) (libhost.Host, func([]byte)) {
	p.t.Helper()
	b, publish := p.member(i, v)
	p.connect(b, w, h)
	id := peer.ID(b.ID().String())
	p.until("the topic of the peer", func() bool {
		return slices.ContainsFunc(wiretest.Reports[wire.TopicChanged](h), func(c wire.TopicChanged) bool { return c.ID == id })
	}, h)
	time.Sleep(3 * time.Second) // heartbeats
	return b, publish
}

// member is a bare host that is in a topic of ours, and publishes what it likes.
func (p *place) member(i int, v codec.Version) (libhost.Host, func([]byte)) {
	p.t.Helper()
	b := p.bare(i)
	ctx, stop := context.WithCancel(context.Background())
	ps, err := pubsub.NewGossipSub(ctx, b, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMaxMessageSize(12<<20), pubsub.WithMessageIdFn(func(m *pb.Message) string { return string(m.Data) }))
	if err != nil {
		p.t.Fatal(err)
	}
	topic, err := ps.Join(codec.Topic(chainID, v))
	if err != nil {
		p.t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.end = append(p.end, func() { sub.Cancel(); topic.Close(); stop(); b.Close() })
	return b, func(data []byte) {
		if err := topic.Publish(ctx, data); err != nil {
			p.t.Error(err)
		}
	}
}

// message is a block as it is gossiped.
func message(t *testing.T, b chain.Block) []byte {
	t.Helper()
	return codec.Compress(codec.Message(b.Extra, envelopeOf(t, b)))
}

// Threats G-01, G-08 and B-01: each invalid message is charged to who delivered
// it, as its row of the table says, and is counted under its name.
func TestInvalidGossipCostsItsDeliverer(t *testing.T) {
	forged := blockOf(7, 100)
	forged.Extra = bytes.Clone(forged.Extra)
	forged.Extra[5]++
	other := codec.Compress(codec.Message(forged.Extra[:codec.SignatureSize], envelopeOf(t, blockOf(8, 50))))
	for _, tt := range []struct {
		name string
		data []byte
		want string
		sev  peer.Severity
	}{
		{"bad signature", message(t, forged), "bad-signature", peer.High},
		{"a signature of another block", other, "bad-signature", peer.High},
		{"no snappy", bytes.Repeat([]byte{0xff}, 40), "snappy-header", peer.Fatal},
		{"short", codec.Compress(make([]byte, 10)), "size", peer.Fatal},
		{"a bomb", append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, make([]byte, 60)...), "size", peer.Fatal},
		{"cut", message(t, blockOf(9, 3000))[:500], "snappy", peer.Fatal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(p *place) {
				h := &wiretest.Host{}
				w := p.wire(1, h)
				b, publish := p.gossiper(2, w, h, codec.V4)
				publish(tt.data)
				p.until("a charge", func() bool { return len(wiretest.Reports[wire.Offended](h)) > 0 }, h)
				o := wiretest.Reports[wire.Offended](h)[0]
				if o.Offense != peer.InvalidGossip || o.Severity != tt.sev || !strings.HasPrefix(o.Detail, tt.want+": ") || o.Session.Peer().ID != peer.ID(b.ID().String()) {
					t.Errorf("charged with %s (%s): %s; want %s", o.Offense, o.Severity, o.Detail, tt.want)
				}
				if got := w.Verdicts()[tt.want]; got != 1 {
					t.Errorf("%d verdicts of %s", got, tt.want)
				}
				if len(h.Checked()) > 0 {
					t.Error("the Host was asked")
				}
			})
		})
	}
}

// Threat G-10: without a signer nobody is charged.
// Threat G-04: nor is the relay of a late block, by the wire.
func TestIgnoredGossipCostsNothing(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict {
			return chain.RejectedAt(peer.None, "too-old")
		}}
		r := rulesOf(t, func(c *rules.Config) { c.Signer = codec.Address{} })
		w := p.wire(1, h, func(c *Config) { c.Rules = r })
		_, publish := p.gossiper(2, w, h, codec.V4)
		publish(message(t, blockOf(1, 100)))
		time.Sleep(time.Second)
		if got := w.Verdicts()["no-signer"]; got != 1 {
			t.Errorf("%d verdicts of no-signer", got)
		}
		r.Signers().Set(keyOf(1).Address())
		publish(message(t, blockOf(2, 100)))
		p.until("the late block", func() bool { return len(h.Checked()) == 1 }, h)
		time.Sleep(time.Second)
		if got := offenses(h); len(got) > 0 {
			t.Errorf("charged with %v", got)
		}
	})
}

// Threat M-12: a panic in a check is a rejection, and the node lives on.
func TestAPanicInACheckIsARejection(t *testing.T) {
	inBubble(t, func(p *place) {
		first := true
		h := &wiretest.Host{OnCheck: func(context.Context, wire.Session, wire.Message) chain.Verdict {
			if first {
				first = false
				panic("injected")
			}
			return chain.Accepted()
		}}
		w := p.wire(1, h)
		_, publish := p.gossiper(2, w, h, codec.V4)
		publish(message(t, blockOf(1, 100)))
		p.until("a charge", func() bool { return offenses(h)[peer.BrokeHandler] == 1 }, h)
		publish(message(t, blockOf(2, 100)))
		p.until("the next block", func() bool { return len(h.Checked()) == 1 }, h)
	})
}

// An accepted block raises what its deliverer is known to have, and what the
// others of the topic are taken to have.
func TestClaimsComeFromAcceptedBlocks(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		_, publish := p.gossiper(2, w, h, codec.V4)
		p.gossiper(3, w, h, codec.V4)
		p.bare(4, codec.Protocols(chainID)[0])
		outsider, _ := p.server(5, w, h, nil)
		b := blockOf(33, 100)
		publish(message(t, b))
		p.until("two claims", func() bool { return len(wiretest.Reports[wire.Claimed](h)) >= 2 }, h)
		time.Sleep(time.Second)
		for _, c := range wiretest.Reports[wire.Claimed](h) {
			if c.Status.Head != b.Ref() || c.Status.Genesis != (chain.Hash{1}) || c.Session.Peer().ID == peer.ID(outsider.ID().String()) {
				t.Errorf("%s claims %+v", c.Session.Peer().ID, c.Status)
			}
		}
		if n := len(wiretest.Reports[wire.Claimed](h)); n != 2 {
			t.Errorf("%d claims, want those of two members", n)
		}
	})
}

// Threat B-04: a peer that sends a message again and again, encoded anew, has us
// decompress it each time, and pays for that. (One whose message was rejected is
// not listened to any more.)
func TestRecodedMessagesCostTheirDeliverer(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		_, publish := p.gossiper(2, w, h, codec.V4)
		b := blockOf(33, 1000)
		msg := codec.Message(b.Extra, envelopeOf(t, b))
		publish(codec.Compress(msg))
		for n := 20; n < 24; n++ { // literals only, of n bytes each
			data := binary.AppendUvarint(nil, uint64(len(msg)))
			for rest := msg; len(rest) > 0; rest = rest[min(n, len(rest)):] {
				data = append(append(data, byte(min(n, len(rest))-1)<<2), rest[:min(n, len(rest))]...)
			}
			time.Sleep(time.Second)
			publish(data)
		}
		p.until("charges", func() bool { return offenses(h)[peer.InvalidGossip] >= 3 }, h)
		time.Sleep(time.Second)
		if got := offenses(h); len(got) != 1 || got[peer.InvalidGossip] != 3 {
			t.Errorf("charged with %v, want three of four encodings", got)
		}
	})
}

// Threat S-11: ids that are forgotten while a block may still be gossiped would
// let it be relayed again and again.
func TestConfigIsChecked(t *testing.T) {
	good := Config{Rules: rulesOf(t), Status: func() chain.Status { return chain.Status{} }}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*Config){
		"Rules":      func(c *Config) { c.Rules = nil },
		"remembered": func(c *Config) { c.SeenFor = time.Minute },
		"TCP":        func(c *Config) { c.Listen = []string{"/ip4/1.2.3.4/udp/9222"} },
		"advertised": func(c *Config) { c.Advertise = []string{"1.2.3.4"} },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q in it", err, says)
		}
	}
	if w, err := New(good); err != nil || w.cfg.SeenFor != good.Rules.Config().Window() {
		t.Errorf("ids are remembered for %v (%v), want the window", w.cfg.SeenFor, err)
	}
}
