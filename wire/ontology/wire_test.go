package ontology

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// The log names who we are and both addresses at which we listen, once.
func TestTheLogSaysWhereWeListen(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		var log bytes.Buffer // its handler writes under a lock, and is done when the node is
		a := start(t, n, 1, nil, func(c *Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.ConsensusListen = netip.AddrPortFrom(ipOf(1), 20339).String()
		})
		self, at := string(a.Self()), a.Addrs()[0].Text
		a.stop()
		lines := strings.Count(log.String(), "ontology wire is listening")
		if lines != 1 || !strings.Contains(log.String(), "peer="+self) || !strings.Contains(log.String(), ":20339]") {
			t.Errorf("of %s at %s the log says %q", self, at, log.String())
		}
	})
}

// Threat H-05: another network shows in the first frame.
func TestAnotherNetworkIsRefused(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		b := start(t, n, 2, nil, func(c *Config) { c.Magic = 7 })
		var r *peer.RefusedError
		err := a.Dial(t.Context(), b.Addrs()[0])
		if !errors.As(err, &r) {
			t.Fatalf("Dial = %v", err)
		}
		until(t, b.host, "a refusal", func() bool {
			all := wiretest.Reports[wire.Refused](b.host)
			return len(all) == 1 && all[0].Reason == peer.WrongNetwork && strings.Contains(all[0].Detail, "0x0000012b")
		})
		if len(wiretest.Reports[wire.Offended](b.host)) > 0 {
			t.Error("it was charged")
		}
	})
}

func TestASessionWithV1(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		s := a.host.Sessions()[0]
		info := s.Peer()
		if info.ID != "000000000000002a" || info.Proven || info.Agent != "ontology" || info.Listen[0].Text != portOf(9) {
			t.Errorf("peer %+v", info)
		}
		if got := a.host.Opened()[0].Claims.Head; got.Number != 3 || !got.Hash.IsZero() {
			t.Errorf("it claims %v", got)
		}
		p.wants(codec.CmdGetAddr)
		ping, err := codec.DecodePing(p.wants(codec.CmdPing), codec.Strict)
		if err != nil || ping.Height != 3 {
			t.Errorf("ping %+v, %v", ping, err)
		}
		p.send(codec.CmdPing, codec.Ping{Height: 9}.Append(nil))
		p.wants(codec.CmdPong)
		until(t, a.host, "its height", func() bool {
			all := wiretest.Reports[wire.Claimed](a.host)
			return len(all) == 1 && all[0].Status.Head.Number == 9
		})
		// It never hears a command that it does not know.
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
			cmd, _, ok := p.read()
			if !ok {
				t.Fatal("the link ended")
			}
			if cmd.New() || cmd == codec.Unknown {
				t.Fatalf("v1.0.0 was sent %s", cmd)
			}
			if cmd == codec.CmdPing {
				p.send(codec.CmdPong, codec.Pong{Height: 9}.Append(nil))
			}
		}
	})
}

func TestMessagesAreCounted(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		p.send(codec.CmdPing, codec.Ping{}.Append(nil))
		p.wants(codec.CmdPong)
		got := a.Traffic()
		for key, want := range map[wire.TrafficKey]wire.Traffic{
			{Protocol: Name, Type: "ping", Inbound: true}:    {Messages: 1, Bytes: codec.HeadSize + 8},
			{Protocol: Name, Type: "pong"}:                   {Messages: 1, Bytes: codec.HeadSize + 8},
			{Protocol: Name, Type: "version", Inbound: true}: {Messages: 1, Bytes: codec.HeadSize + 76},
		} {
			if got[key] != want {
				t.Errorf("%+v: %+v, want %+v", key, got[key], want)
			}
		}
	})
}

// Threat Z-01, H-01: silence after the handshake ends the session in 45 s.
func TestASilentPeerIsLetGo(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		if took := p.closed(); took < 44*time.Second || took > 50*time.Second {
			t.Errorf("it was closed after %v", took)
		}
		until(t, a.host, "its end", func() bool {
			all := wiretest.Reports[wire.Closed](a.host)
			return len(all) == 1 && all[0].Reason == peer.Idle
		})
	})
}

// Threat T-05: a peer's version tells its time, as far as it tells one.
func TestAVersionTellsTheTime(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		call(t, n, ipOf(9), portOf(1)).shakes(nil) // 1970: it tells none
		p := call(t, n, ipOf(10), portOf(1))
		p.nonce = 43
		p.shakes(func(v *codec.Version) { v.Time = time.Now().Add(time.Hour).UnixNano() })
		until(t, a.host, "two sessions", func() bool { return len(a.host.Sessions()) == 2 })
		time.Sleep(time.Second)
		all := wiretest.Reports[wire.Skewed](a.host)
		if len(all) != 1 || all[0].Skew < 59*time.Minute || all[0].Skew > 61*time.Minute {
			t.Errorf("skews %+v", all)
		}
	})
}

// A nonce is a claim. Whoever claims another's puts nobody out and
// keeps nobody out, whoever came first; each address replaces its own link.
func TestASquatterPutsNobodyOut(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		squatter := call(t, n, ipOf(10), portOf(1)).shakes(nil)
		until(t, a.host, "the squatter's session", func() bool { return len(a.host.Sessions()) == 1 })
		owner := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "the owner's session", func() bool { return len(a.host.Sessions()) == 2 })
		var s wire.Session
		for _, x := range a.host.Sessions() {
			if x.Peer().Endpoint.Addr() == ipOf(9) {
				s = x
			}
		}
		if got := s.Peer().ID; got != "000000000000002a@203.0.113.9" {
			t.Errorf("the owner, who came later, is %s", got)
		}
		again := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		if owner.closed() > time.Second {
			t.Error("the owner's older link stayed")
		}
		all := a.host.Sessions()
		if len(all) != 2 {
			t.Fatalf("%d sessions", len(all))
		}
		for _, x := range all {
			if x == s || x.Peer().Endpoint.Addr() == ipOf(9) && x.Peer().ID != s.Peer().ID {
				t.Errorf("%s at %s stayed, or the newer link has another name", x.Peer().ID, x.Peer().Endpoint)
			}
			if n, ok := NonceOf(x.Peer().ID); !ok || n != 42 {
				t.Errorf("the nonce of %s is %d, %v", x.Peer().ID, n, ok)
			}
		}
		squatter.send(codec.CmdPing, codec.Ping{}.Append(nil))
		squatter.wants(codec.CmdPong)
		again.send(codec.CmdPing, codec.Ping{}.Append(nil))
		again.wants(codec.CmdPong)
	})
}

// Threat H-07: a copy of our own nonce is taken for ourselves.
func TestOurNonceIsOurs(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1))
		p.send(codec.CmdVersion, codec.Version{Nonce: a.node.Load().identity.Load().nonce}.Append(nil))
		p.closed()
		until(t, a.host, "a refusal", func() bool {
			all := wiretest.Reports[wire.Refused](a.host)
			return len(all) == 1 && all[0].Reason == peer.Self
		})
	})
}

// Threat M-09: what has no business here is counted, read past, and
// in the end too much. Nobody can be made to hang up by "disconnect".
func TestMessagesOutOfTurn(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		p.send(codec.CmdDisconnect, nil)
		p.send(codec.CmdVersion, codec.Version{}.Append(nil))
		p.send(codec.CmdGetBlocks, make([]byte, 65))
		b, _ := codec.AppendFrame(nil, 299, codec.CmdPing, make([]byte, 60))
		copy(b[4:16], "newcommand\x00\x00")
		for range 50 {
			p.Write(b)
		}
		p.send(codec.CmdPing, codec.Ping{Height: 3}.Append(nil))
		p.wants(codec.CmdPong)
		charged := wiretest.Reports[wire.Offended](a.host)
		if len(charged) != 51 { // two out of turn, and unknown ones but the first
			t.Errorf("%d charges", len(charged))
		}
		for _, c := range charged {
			if c.Offense != peer.UnknownMessage {
				t.Errorf("charged with %s", c.Offense)
			}
		}
		for range 60 {
			p.Write(b)
		}
		p.closed()
		until(t, a.host, "the end", func() bool { return len(wiretest.Reports[wire.Closed](a.host)) == 1 })
	})
}

// Threat M-06: a wrong checksum may be line noise, and costs less than fatal.
func TestAWrongChecksumCostsAMiddling(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		b, _ := codec.AppendFrame(nil, 299, codec.CmdPing, make([]byte, 8))
		b[len(b)-1] ^= 1
		p.Write(b)
		p.closed()
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.BadFrame && all[0].Severity == peer.Mid
		})
	})
}

// A link for consensus needs the address and the nonce of a session.
func TestConsensusLinksAreAttached(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		second := netip.AddrPortFrom(ipOf(1), 20339).String()
		a := start(t, n, 1, nil, func(c *Config) { c.ConsensusListen = second })
		stranger := call(t, n, ipOf(9), second)
		stranger.send(codec.CmdVersion, codec.Version{Nonce: 42, Consensus: true}.Append(nil))
		stranger.wants(codec.CmdVersion)
		stranger.send(codec.CmdVerAck, []byte{1})
		stranger.closed()

		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		thief := call(t, n, ipOf(10), second)
		thief.send(codec.CmdVersion, codec.Version{Nonce: 42, Consensus: true}.Append(nil))
		thief.wants(codec.CmdVersion)
		thief.send(codec.CmdVerAck, []byte{1})
		thief.closed()

		c := call(t, n, ipOf(9), second).shakes(func(v *codec.Version) { v.Consensus = true })
		s := a.host.Sessions()[0]
		if got := a.ConsensusLinks(); len(got) != 1 || got[0] != s.Peer().ID {
			t.Fatalf("ConsensusLinks = %v", got)
		}
		vote := newSigner().sign("vote")
		if err := s.Send(t.Context(), wire.LaneConsensus, wire.Consensus{Bytes: vote}); err != nil {
			t.Fatal(err)
		}
		if got := c.wants(codec.CmdConsensus); string(got) != string(vote) {
			t.Error("another message came")
		}
		c.send(codec.CmdConsensus, vote)
		until(t, a.host, "the message", func() bool { return len(a.host.Checked()) == 1 })
		if got := a.host.Checked()[0]; got.From != s || string(got.Message.(wire.Consensus).Bytes) != string(vote) {
			t.Errorf("%+v", got)
		}
		// When it ends, consensus takes the first link.
		c.Close()
		time.Sleep(time.Second)
		if err := s.Send(t.Context(), wire.LaneConsensus, wire.Consensus{Bytes: vote}); err != nil {
			t.Fatal(err)
		}
		p.wants(codec.CmdConsensus)
		// A forged one is charged, and the Host never sees it.
		forged := append([]byte(nil), vote...)
		forged[0] ^= 1
		p.send(codec.CmdConsensus, forged)
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.InvalidGossip
		})
		if len(a.host.Checked()) != 1 {
			t.Error("the Host saw a forged message")
		}
	})
}

// We open the second link to whoever has a port for it.
func TestWeOpenTheConsensusLink(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		two := func(i uint64) func(*Config) {
			return func(c *Config) {
				c.Soft, c.ConsensusListen = "v1.6.0", netip.AddrPortFrom(ipOf(i), 20339).String()
			}
		}
		a, b := start(t, n, 1, nil, two(1)), start(t, n, 2, nil, two(2))
		if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for _, r := range []*running{a, b} {
			if got := r.ConsensusLinks(); len(got) != 1 {
				t.Errorf("ConsensusLinks = %v", got)
			}
		}
	})
}

// inv of a block that we lack: one getdata, and the block reaches the Host.
func TestAnnouncedBlocksAreFetchedOnce(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		b := blockOf(5, bodySize)
		known := blockOf(2, bodySize)
		inv := codec.Inv{Kind: codec.KindBlock, Hashes: []codec.Hash{known.Header.Hash, b.Header.Hash}}
		p.send(codec.CmdInv, inv.Append(nil))
		g, err := codec.DecodeGetData(p.wants(codec.CmdGetData), codec.Strict)
		if err != nil || g.Hash != b.Header.Hash {
			t.Fatalf("getdata %+v, %v: want the unknown block's", g, err)
		}
		p.send(codec.CmdBlock, b.Append(nil))
		until(t, a.host, "the block", func() bool { return len(a.host.Checked()) == 1 })
		if got := a.host.Checked()[0].Message.(wire.Block).Block; got.Ref() != b.Ref() {
			t.Errorf("block %v", got.Ref())
		}
		// The same again, unasked (threat L-08).
		p.send(codec.CmdBlock, b.Append(nil))
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.Unasked
		})
	})
}

// A getdata is not repeated within 3 s, which newer releases would not answer.
func TestGetDataRestsBeforeItIsRepeated(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		s := a.host.Sessions()[0]
		b := blockOf(2, bodySize)
		req := wire.GetBlocksByHash{Hashes: []chain.Hash{b.Ref().Hash}}
		done := make(chan error, 2)
		var times []time.Time
		for range 2 {
			go func() { _, err := s.Request(t.Context(), req); done <- err }()
			p.wants(codec.CmdGetData)
			times = append(times, time.Now())
			p.send(codec.CmdNotFound, codec.NotFound{Hash: b.Header.Hash}.Append(nil))
			if err := <-done; !errors.Is(err, &wire.Refusal{Code: wire.RefusedNotFound}) {
				t.Errorf("Request = %v", err)
			}
		}
		if rest := times[1].Sub(times[0]); rest < repeatAfter {
			t.Errorf("it was repeated after %v", rest)
		}
	})
}

// Threat Z-03: an unknown hash gets no answer to getheaders, without fault.
func TestSilenceIsNoFault(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil, nil), start(t, n, 2, nil, nil)
		if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		s := a.host.Sessions()[0]
		start := time.Now()
		_, err := s.Request(t.Context(), wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: blockOf(2, bodySize).Ref().Hash}, Count: 5}})
		if err == nil || time.Since(start) != headersTime {
			t.Errorf("Request = %v after %v", err, time.Since(start))
		}
		if len(a.host.Sessions()) != 1 || len(wiretest.Reports[wire.Offended](a.host)) > 0 {
			t.Error("the session ended, or somebody was charged")
		}
	})
}

// Addresses: established peers only, neither the asker nor masked ones; and
// only what answers our question counts (threat E-01, R-08).
func TestAddressesAreTold(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.Mask = []netip.Addr{ipOf(10)} })
		for i := range uint64(3) { // 9, 10 (masked), 11
			p := call(t, n, ipOf(9+i), portOf(1))
			p.nonce = 100 + i
			p.shakes(nil)
		}
		asker := call(t, n, ipOf(20), portOf(1)).shakes(nil)
		asker.send(codec.CmdGetAddr, nil)
		got, err := codec.DecodeAddr(asker.wants(codec.CmdAddr), codec.Strict)
		if err != nil || len(got.Addrs) != 2 || got.Addrs[0].Addr != ipOf(9) || got.Addrs[1].Addr != ipOf(11) || got.Addrs[0].Port != 20338 {
			t.Fatalf("addr %+v, %v", got, err)
		}
		asker.send(codec.CmdGetAddr, nil) // too soon
		poison := codec.Addr{Addrs: []codec.PeerAddr{{Addr: ipOf(66), Port: 1}, {Addr: ipOf(67)}}}
		for range 3 {
			asker.send(codec.CmdAddr, poison.Append(nil))
		}
		asker.send(codec.CmdPing, codec.Ping{}.Append(nil))
		for {
			cmd, _, ok := asker.read()
			if !ok || cmd == codec.CmdAddr {
				t.Fatalf("a second answer came, or the end: %s", cmd)
			}
			if cmd == codec.CmdPong {
				break
			}
		}
		found := wiretest.Reports[wire.Found](a.host)
		if len(found) != 1 || len(found[0].Peers) != 1 || found[0].Peers[0].Addrs[0].Text != netip.AddrPortFrom(ipOf(66), 1).String() {
			t.Errorf("found %+v", found)
		}
	})
}

// Threat R-06.
func TestAPingFloodIsChargedAndUnanswered(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		for range 500 {
			p.send(codec.CmdPing, codec.Ping{}.Append(nil))
		}
		until(t, a.host, "charges", func() bool { return len(wiretest.Reports[wire.Offended](a.host)) > 400 })
		if len(a.host.Sessions()) != 1 {
			t.Error("the wire itself ended the session: that is for the node")
		}
	})
}

// The newest handshake between two nodes of ours: the node keys are told, and
// findnode takes the place of getaddr.
func TestTheNewestHandshake(t *testing.T) {
	_, private := worked(t)
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.NodeKey = private })
		p := call(t, n, ipOf(9), portOf(1))
		public, _ := codec.KadKeyOf(private)
		if want := idOf(codec.PeerID(codec.AddressOfKey(public)).Nonce()); a.Self() != want {
			t.Errorf("Self = %s, want %s", a.Self(), want)
		}
		p.send(codec.CmdVersion, codec.Version{Nonce: 42, Soft: "v2.5.9", SyncPort: 20338}.Append(nil))
		v, _ := codec.DecodeVersion(p.wants(codec.CmdVersion))
		if v.Soft != DefaultSoft || idOf(v.Nonce) != a.Self() {
			t.Errorf("version %+v", v)
		}
		p.send(codec.CmdUpdateKadID, codec.UpdateKadID{Key: public}.Append(nil)) // any key with work will do
		if u, err := codec.DecodeUpdateKadID(p.wants(codec.CmdUpdateKadID)); err != nil || idOf(u.ID.Nonce()) != a.Self() {
			t.Errorf("updatekadid %+v, %v", u, err)
		}
		p.send(codec.CmdVerAck, []byte{0})
		p.wants(codec.CmdVerAck)
		p.wants(codec.CmdFindNode)
		ack := codec.FindNodeAck{Closest: []codec.Closest{{ID: codec.PeerID{1}, Addr: netip.AddrPortFrom(ipOf(30), 20338)}}}
		p.send(codec.CmdFindNodeAck, ack.Append(nil))
		until(t, a.host, "an address", func() bool { return len(wiretest.Reports[wire.Found](a.host)) == 1 })
		p.send(codec.CmdFindNode, codec.FindNode{Target: codec.PeerID{9}}.Append(nil))
		if m, err := codec.DecodeFindNodeAck(p.wants(codec.CmdFindNodeAck)); err != nil || m.Found || m.Target != (codec.PeerID{9}) {
			t.Errorf("findnodeack %+v, %v", m, err)
		}
	})
}

// The node key is kept, and read again; a loose or broken file is refused.
func TestTheNodeKeyIsKept(t *testing.T) {
	_, private := worked(t)
	path := filepath.Join(t.TempDir(), "node-key")
	if key, err := readKey(path); key != nil || err != nil {
		t.Errorf("no file: %x, %v", key, err)
	}
	if err := keepKey(path, private); err != nil {
		t.Fatal(err)
	}
	if key, err := readKey(path); err != nil || hex.EncodeToString(key) != hex.EncodeToString(private) {
		t.Errorf("readKey = %x, %v", key, err)
	}
	if err := keepKey(path, private); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key: %v", err)
	}
	os.Chmod(path, 0o644)
	if _, err := readKey(path); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a loose file: %v", err)
	}
	os.Chmod(path, 0o600)
	os.WriteFile(path, []byte("zz"), 0o600)
	if _, err := readKey(path); err == nil {
		t.Error("a broken file is read")
	}
}

func TestBadConfigurationsAreNamed(t *testing.T) {
	_, err := New(Config{Listen: "here", ConsensusListen: "1.2.3.4:5", Soft: "x", NodeKey: []byte{1}})
	for _, want := range []string{"Status", "listen address", "soft version", "node key"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, which does not name %s", err, want)
		}
	}
}

// What travels behind a block goes to newer peers, who hang up on one without
// it where the network wants it; v1.0.0 gets the block alone.
func TestTrailersGoToNewerPeers(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		with, without := blockOf(5, bodySize), blockOf(6, bodySize)
		with.Trailer = append(make([]byte, 32), 0)
		h := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			if r.(wire.GetBlocksByHash).Hashes[0] == with.Ref().Hash {
				return wire.Blocks{Blocks: []chain.Block{with.Chain()}}, nil
			}
			return wire.Blocks{Blocks: []chain.Block{without.Chain()}}, nil
		}}
		start(t, n, 1, h, func(c *Config) { c.StateRoots = true })
		first := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		newer := call(t, n, ipOf(10), portOf(1))
		newer.nonce = 43
		newer.shakes(func(v *codec.Version) { v.Soft = "v1.8.0" })
		for _, p := range []struct {
			name string
			*old
			trailer bool
		}{{"v1.0.0", first, false}, {"v1.8.0", newer, true}} {
			p.send(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: with.Header.Hash}.Append(nil))
			got, err := codec.DecodeBlock(p.wants(codec.CmdBlock), codec.Strict)
			if err != nil || (len(got.Trailer) > 0) != p.trailer {
				t.Errorf("%s got a trailer of %d bytes, %v", p.name, len(got.Trailer), err)
			}
			p.send(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: without.Header.Hash}.Append(nil))
			if p.trailer {
				p.wants(codec.CmdNotFound)
			} else {
				p.wants(codec.CmdBlock)
			}
		}
	})
}

// A refusal by the Host shows at the other side before it has a session: the
// listener's verack is the last word.
func TestTheListenersVerackIsLast(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		start(t, n, 1, &wiretest.Host{OnOpen: func(context.Context, wire.Session, chain.Status) error {
			return peer.Refuse(peer.TooManyPeers)
		}}, nil)
		p := call(t, n, ipOf(9), portOf(1))
		p.send(codec.CmdVersion, codec.Version{Nonce: 42}.Append(nil))
		p.wants(codec.CmdVersion)
		p.send(codec.CmdVerAck, []byte{0})
		if cmd, _, ok := p.read(); ok {
			t.Errorf("%s came", cmd)
		}
	})
}
