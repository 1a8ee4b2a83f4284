package devp2p

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat E-03: records of no use as an address, and those of another chain, are
// dropped as they come, whoever signed them.
func TestRecordsOfNoUseAreDropped(t *testing.T) {
	judge := idle(t)
	good := entryBytes(t, judge.forkID())
	for name, tt := range map[string]struct {
		ip    []byte
		tcp   uint16
		entry []byte
		want  bool
	}{
		"of our chain":       {[]byte{8, 8, 8, 8}, 30303, good, true},
		"no port":            {[]byte{8, 8, 8, 8}, 0, good, false},
		"no address":         {nil, 30303, good, false},
		"multicast":          {[]byte{224, 0, 0, 1}, 30303, good, false},
		"another chain":      {[]byte{8, 8, 8, 8}, 30303, entryBytes(t, eth.ForkID{Sum: [4]byte{1, 2, 3, 4}}), false},
		"no entry":           {[]byte{8, 8, 8, 8}, 30303, nil, false},
		"an empty entry":     {[]byte{8, 8, 8, 8}, 30303, []byte{0xc0}, false},
		"an entry of 5 byte": {[]byte{8, 8, 8, 8}, 30303, []byte{0xc8, 0xc7, 0x85, 1, 2, 3, 4, 5, 0x80}, false},
	} {
		rec, ok := strangersRecord(t, 2, tt.ip, tt.tcp, 0, tt.entry)
		if !ok {
			t.Fatalf("%s: no record", name)
		}
		if got := judge.wanted(rec); got != tt.want {
			t.Errorf("%s: wanted = %v, want %v", name, got, tt.want)
		}
	}
	if self, ok := strangersRecord(t, 1, []byte{8, 8, 8, 8}, 30303, 0, good); ok {
		judge.found(wire.SourceDiscv, []*enode.Node{self})
	}
	if got := wiretest.Reports[wire.Found](judge.host.(*wiretest.Host)); len(got) > 0 {
		t.Errorf("our own record was reported: %+v", got)
	}
}

// keyOfRSA is an identity scheme of records that nobody has agreed on; its
// signatures always hold.
type keyOfRSA struct{}

func (keyOfRSA) Verify(*enr.Record, []byte) error { return nil }
func (keyOfRSA) NodeAddr(*enr.Record) []byte      { return make([]byte, 32) }

// Threat H-04: identities are keys of secp256k1 and nothing else: records of
// another scheme, keys of another length or that are no point, and a Hello with
// a key of 8,193 bits, whose sender pays.
func TestIdentitiesOfOtherKindsAreRefused(t *testing.T) {
	r := new(enr.Record)
	r.Set(enr.ID("rsa"))
	r.Set(enr.IPv4{8, 8, 8, 8})
	r.Set(enr.TCP(30303))
	if err := r.SetSig(keyOfRSA{}, make([]byte, 128)); err != nil {
		t.Fatal(err)
	}
	b, err := rlp.EncodeToBytes(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"an RSA record": "enr:" + base64.RawURLEncoding.EncodeToString(b),
		"a longer key":  "enode://" + strings.Repeat("ab", 1025) + "@8.8.8.8:1",
		"no point":      "enode://" + strings.Repeat("ff", 64) + "@8.8.8.8:1",
		"a shorter key": "enode://" + strings.Repeat("ab", 32) + "@8.8.8.8:1",
	} {
		if a, err := ParseAddr(text); err == nil {
			t.Errorf("%s: %v", name, a)
		}
		if CheckNodes([]string{text}) == nil && !strings.HasPrefix(text, "enode") {
			t.Errorf("%s is taken as a node", name)
		}
	}
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		b := dialBare(t, n, 2, a)
		hello, err := rlp.EncodeToBytes([]any{uint64(5), "bare", []base.Cap{{Name: "eth", Version: 69}}, uint64(0), make([]byte, 1025)})
		if err != nil {
			t.Fatal(err)
		}
		b.send(t, base.HelloMsg, hello)
		b.drain(t)
		if o := wiretest.Reports[wire.Offended](a.host); len(o) != 1 || severityOf(o[0]) != peer.Fatal {
			t.Errorf("charges = %+v, want one that is fatal", o)
		}
		if got := len(a.host.Opened()); got > 0 {
			t.Errorf("%d sessions were opened", got)
		}
		b.Close()
		a.stop(t)
	})
}

// severityOf is what a charge costs.
func severityOf(o wire.Offended) peer.Severity {
	if o.Severity != peer.None {
		return o.Severity
	}
	return o.Offense.Severity()
}

// Of a session both ends of its link are known, and the newest record of its
// peer that was given or found; an enode URL is none.
func TestALinkIsDescribed(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		given, found := numbered(t, 2, 1), numbered(t, 2, 2)
		if _, err := a.ParseAddr(b.Addrs()[0].Text); err != nil {
			t.Fatal(err)
		}
		at, err := a.ParseAddr(given.String())
		if err != nil {
			t.Fatal(err)
		}
		if local, record := a.PeerLink(b.Self()); local.IsValid() || record != "" {
			t.Errorf("without a session the link is %v, %q", local, record)
		}
		if err := a.Dial(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		ours, record := a.PeerLink(b.Self())
		theirs, none := b.PeerLink(a.Self())
		if record != given.String() || none != "" {
			t.Errorf("the records are %q and %q, want %q and none", record, none, given)
		}
		if from, to := a.host.Sessions()[0].Peer().Endpoint, b.host.Sessions()[0].Peer().Endpoint; theirs != from || ours != to || !ours.IsValid() {
			t.Errorf("the ends are %v and %v, the other sides' %v and %v", ours, theirs, to, from)
		}
		for _, rec := range []*enode.Node{found, given} {
			a.node.Load().found(wire.SourceDiscv, []*enode.Node{rec})
		}
		if _, record := a.PeerLink(b.Self()); record != found.String() {
			t.Errorf("after a newer record was found it is %q", record)
		}
		a.stop(t)
		b.stop(t)
	})
}

// numbered is a record of the i-th peer.
func numbered(t *testing.T, i, seq uint64) *enode.Node {
	t.Helper()
	n, ok := strangersRecord(t, i, hostAddr(i).AsSlice(), 30303, 0, nil)
	if !ok {
		t.Fatal("no record")
	}
	r := *n.Record()
	r.SetSeq(seq)
	if err := enode.SignV4(&r, keyFor(i)); err != nil {
		t.Fatal(err)
	}
	n, err := enode.New(enode.ValidSchemes, &r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Records of any number of peers take a bounded room.
func TestFewRecordsAreRemembered(t *testing.T) {
	r := newRecords()
	rec := numbered(t, 2, 1)
	for i := range maxRecords + 10 {
		r.note(peer.ID(strconv.Itoa(i)), rec)
	}
	if r.of.Len() != maxRecords || r.text("0") != "" || r.text(peer.ID(strconv.Itoa(maxRecords))) == "" {
		t.Errorf("%d records are remembered", r.of.Len())
	}
}
