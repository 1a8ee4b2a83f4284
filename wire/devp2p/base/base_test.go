package base

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// gethHello is go-ethereum's protoHandshake, which it does not export.
type gethHello struct {
	Version    uint64
	Name       string
	Caps       []p2p.Cap
	ListenPort uint64
	ID         []byte
	Rest       []rlp.RawValue `rlp:"tail"`
}

func TestHelloIsThatOfGeth(t *testing.T) {
	h := Hello{Version: Version, Agent: "Starling/v0.1.0/linux", Caps: []Cap{{"eth", 68}, {"eth", 69}, {"snap", 1}}, Port: 30303}
	h.ID[0], h.ID[63] = 7, 9
	b := h.Append(nil)
	theirs := gethHello{Version: 5, Name: h.Agent, Caps: []p2p.Cap{{Name: "eth", Version: 68}, {Name: "eth", Version: 69}, {Name: "snap", Version: 1}}, ListenPort: 30303, ID: h.ID[:]}
	want, err := rlp.EncodeToBytes(&theirs)
	if err != nil || !bytes.Equal(b, want) {
		t.Fatalf("Hello:\n ours %x\n geth %x (%v)", b, want, err)
	}
	theirs.Rest = []rlp.RawValue{{0x01}, {0xc2, 1, 2}}
	more, _ := rlp.EncodeToBytes(&theirs)
	for _, in := range [][]byte{b, more} {
		if got, err := DecodeHello(in); err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("DecodeHello = %+v, %v; want %+v", got, err, h)
		}
	}
}

// TestAnyHelloIsReadByBothSides draws Hellos: geth reads ours, and we geth's.
func TestAnyHelloIsReadByBothSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Hello{
			Version: rapid.Uint64().Draw(t, "version"), Agent: rapid.StringMatching(`[ -~]{0,80}`).Draw(t, "agent"), Port: rapid.Uint64().Draw(t, "port"),
			ID: [idLen]byte(rapid.SliceOfN(rapid.Byte(), idLen, idLen).Draw(t, "id")),
		}
		theirs := gethHello{Version: h.Version, Name: h.Agent, ListenPort: h.Port, ID: h.ID[:]}
		for range rapid.IntRange(0, MaxCaps).Draw(t, "caps") {
			c := Cap{rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name"), rapid.Uint().Draw(t, "of")}
			h.Caps, theirs.Caps = append(h.Caps, c), append(theirs.Caps, p2p.Cap{Name: c.Name, Version: c.Version})
		}
		want, err := rlp.EncodeToBytes(&theirs)
		if err != nil {
			t.Fatal(err)
		}
		var back gethHello
		if b := h.Append(nil); !bytes.Equal(b, want) || rlp.DecodeBytes(b, &back) != nil || back.Version != h.Version || len(back.Caps) != len(h.Caps) {
			t.Fatalf("Hello:\n ours %x\n geth %x", b, want)
		}
		if got, err := DecodeHello(want); err != nil || !reflect.DeepEqual(got, h) {
			t.Fatalf("DecodeHello = %+v, %v; want %+v", got, err, h)
		}
	})
}

// Threat H-11: a thousand capabilities are not taken in.
func TestHelloOfManyCapabilitiesIsAFault(t *testing.T) {
	var h Hello
	for i := range 1000 {
		h.Caps = append(h.Caps, Cap{"a", uint(i)})
	}
	_, err := DecodeHello(h.Append(nil))
	var f *wire.Fault
	if !errors.As(err, &f) {
		t.Errorf("DecodeHello = %v, want a fault", err)
	}
	h.Caps = h.Caps[:MaxCaps]
	if _, err := DecodeHello(h.Append(nil)); err != nil {
		t.Errorf("%d capabilities: %v", MaxCaps, err)
	}
}

// Threat M-11: texts of a Hello are cut and cleaned.
func TestHelloTextsAreCleaned(t *testing.T) {
	h, err := DecodeHello(Hello{Agent: "a\n\x1b[31m" + strings.Repeat("x", 1000), Caps: []Cap{{"e\x00th", 1}}}.Append(nil))
	if err != nil || len(h.Agent) > peer.MaxText || strings.ContainsAny(h.Agent, "\n\x1b") || h.Caps[0].Name != "e?th" {
		t.Errorf("agent %q, caps %v, %v", h.Agent, h.Caps, err)
	}
}

func TestCodesAreSharedOutAsGethDoes(t *testing.T) {
	ours := []Offer{{Cap{"eth", 70}, 18}, {Cap{"eth", 69}, 18}, {Cap{"eth", 68}, 17}, {Cap{"chat", 1}, 4}, {Cap{"zoo", 3}, 2}}
	got := Match(ours, []Cap{{"snap", 1}, {"eth", 68}, {"eth", 69}, {"eth", 99}, {"zoo", 3}, {"chat", 1}, {"chat", 2}})
	want := []Share{{Offer{Cap{"chat", 1}, 4}, 16}, {Offer{Cap{"eth", 69}, 18}, 20}, {Offer{Cap{"zoo", 3}, 2}, 38}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Match = %+v, want %+v", got, want)
	}
	if got := Match(ours, []Cap{{"eth", 66}}); len(got) != 0 {
		t.Errorf("Match without a common version = %+v", got)
	}
	if got := fmt.Sprint(Caps(ours)); got != "[chat/1 eth/68 eth/69 eth/70 zoo/3]" {
		t.Errorf("Caps = %s", got)
	}
}

func TestDisconnectsOfAllFormsAreRead(t *testing.T) {
	for in, want := range map[string]Reason{"\xc1\x04": TooManyPeers, "\x04": TooManyPeers, "\xc1\x80": Requested, "": Requested, "\xc0": Requested, "\x00": Requested, "\x80": Requested, "\xc1\x10": SubprotocolError, "\xc2\x81\xff": 0xff} {
		if got, err := DecodeDisconnect([]byte(in)); err != nil || got != want {
			t.Errorf("DecodeDisconnect(%x) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"\xc2\x04\x04", "\x82\x01\x01", "\xc8abcdefgh", "\xc1\xc0"} {
		if got, err := DecodeDisconnect([]byte(in)); err == nil {
			t.Errorf("DecodeDisconnect(%x) = %v, want an error", in, got)
		}
	}
	for r := range Reason(0xff) {
		b := r.Append(nil)
		if got, err := DecodeDisconnect(b); err != nil || got != r {
			t.Errorf("%v came back as %v, %v", r, got, err)
		}
		var geth struct{ R p2p.DiscReason }
		if err := rlp.DecodeBytes(b, &geth); err != nil || uint8(geth.R) != uint8(r) {
			t.Errorf("geth reads %v as %v: %v", r, geth.R, err)
		}
	}
}

func TestReasonsKeepTheirMeaning(t *testing.T) {
	for _, why := range []peer.Reason{peer.Requested, peer.Useless, peer.TooManyPeers, peer.Duplicate, peer.Stopping, peer.WrongIdentity, peer.Self, peer.Idle} {
		if got := ReasonFor(why).Why(false); got != why {
			t.Errorf("%s arrives as %s", why, got)
		}
	}
	for _, why := range []peer.Reason{peer.Banned, peer.LowScore, peer.PrefixBanned, peer.NetRestricted} {
		if got := ReasonFor(why); got != TooManyPeers {
			t.Errorf("a peer that is %s is told %v", why, got)
		}
	}
	// Before a session too it is churn: what is missing Hello shows by itself.
	if got := UselessPeer.Why(true); got != peer.Useless {
		t.Errorf("useless before a session is %s", got)
	}
}

// FuzzHello decodes a Hello and a Disconnect; what decodes comes back the same.
func FuzzHello(f *testing.F) {
	f.Add(Hello{Version: 5, Agent: "geth", Caps: []Cap{{"eth", 69}}, Port: 1}.Append(nil))
	f.Add([]byte{0xc1, 4})
	f.Fuzz(func(t *testing.T, in []byte) {
		if h, err := DecodeHello(in); err == nil {
			if got, err := DecodeHello(h.Append(nil)); err != nil || !reflect.DeepEqual(got, h) {
				t.Fatalf("%+v came back as %+v, %v", h, got, err)
			}
		}
		if r, err := DecodeDisconnect(in); err == nil {
			if got, err := DecodeDisconnect(r.Append(nil)); err != nil || got != r {
				t.Fatalf("%v came back as %v, %v", r, got, err)
			}
		}
	})
}
