package devp2p

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// strangersRecord is a record as the network brings it: signed by the i-th
// peer, with these fields as far as they are set.
func strangersRecord(t testing.TB, i uint64, ip []byte, tcp, udp uint16, entry []byte) (*enode.Node, bool) {
	t.Helper()
	r := new(enr.Record)
	if a, ok := netip.AddrFromSlice(ip); ok && a.Is4() {
		r.Set(enr.IPv4Addr(a))
	} else if ok {
		r.Set(enr.IPv6Addr(a))
	}
	if tcp != 0 {
		r.Set(enr.TCP(tcp))
	}
	if udp != 0 {
		r.Set(enr.UDP(udp))
	}
	if len(entry) > 0 {
		r.Set(enr.WithEntry(eth.Name, rlp.RawValue(entry)))
	}
	if enode.SignV4(r, keyFor(i)) != nil {
		return nil, false // over 300 bytes
	}
	b, err := rlp.EncodeToBytes(r)
	if err != nil {
		return nil, false
	}
	var arrived enr.Record
	if rlp.DecodeBytes(b, &arrived) != nil {
		return nil, false
	}
	n, err := enode.New(enode.ValidSchemes, &arrived)
	return n, err == nil
}

// entryBytes is an eth entry.
func entryBytes(t testing.TB, id eth.ForkID) []byte {
	t.Helper()
	b, err := rlp.EncodeToBytes([]any{[]any{id.Sum[:], id.Next}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// idle is a node that only judges what discovery brings.
func idle(t testing.TB) *node {
	t.Helper()
	n := bed.NewNet(bed.Config{})
	t.Cleanup(func() { n.Close() })
	w, err := New(configFor(n, 1, "test", testGenesis))
	if err != nil {
		t.Fatal(err)
	}
	return &node{w: w, host: &wiretest.Host{}, self: IDOf(&keyFor(1).PublicKey)}
}

// FuzzRecord puts a record of the fuzzer's, signed by its sender, before the
// filter of discovery. What passes is of our chain and has an endpoint; what is
// reported of it is that endpoint and the signer, in an address that can be
// dialled; what does not pass is not reported.
func FuzzRecord(f *testing.F) {
	judge := idle(f)
	ours := entryBytes(f, judge.forkID())
	f.Add([]byte{8, 8, 8, 8}, uint16(30303), uint16(0), ours)
	f.Add([]byte{8, 8, 8, 8}, uint16(30303), uint16(30304), append([]byte{ours[0] + 1}, append(ours[1:], 7)...)) // a list that has grown
	f.Add([]byte{8, 8, 8, 8}, uint16(0), uint16(9), ours)
	f.Add(make([]byte, 16), uint16(1), uint16(1), ours)
	f.Add([]byte{224, 0, 0, 1}, uint16(1), uint16(1), entryBytes(f, eth.ForkID{Sum: [4]byte{9}}))
	f.Add([]byte{8, 8, 8, 8}, uint16(30303), uint16(0), []byte{0xc1, 0xc0})
	f.Add([]byte(nil), uint16(30303), uint16(0), []byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, ip []byte, tcp, udp uint16, entry []byte) {
		rec, ok := strangersRecord(t, 2, ip, tcp, udp, entry)
		if !ok {
			return
		}
		if !judge.wanted(rec) {
			return
		}
		var e forkEntry
		if rec.Load(&e) != nil || judge.w.cfg.Forks.Check(eth.ForkID{Sum: e.ID.Sum, Next: e.ID.Next}, 5, 0) != nil {
			t.Fatalf("a record with the entry %x is wanted", entry)
		}
		host := &wiretest.Host{}
		judge.host = host
		judge.found(wire.SourceDiscv, []*enode.Node{rec})
		all := wiretest.Reports[wire.Found](host)
		if len(all) != 1 || len(all[0].Peers) != 1 || len(all[0].Peers[0].Addrs) != 1 {
			t.Fatalf("Found = %+v", all)
		}
		p := all[0].Peers[0]
		again, err := ParseAddr(p.Addrs[0].Text)
		ep, id, ok := judge.w.Locate(p.Addrs[0])
		if err != nil || again != p.Addrs[0] || !ok || id != p.ID || p.ID != IDOf(&keyFor(2).PublicKey) {
			t.Fatalf("found %+v: %v; its address reads back as %v", p, err, again)
		}
		if ep.Port() != tcp || ep.Addr() != rec.IPAddr().Unmap() || ep.Addr().IsMulticast() {
			t.Fatalf("found at %v, the record says %v:%d", ep, rec.IPAddr(), tcp)
		}
	})
}

// FuzzNodeText reads texts of nodes, as boot nodes, static nodes and the RPC's
// calls name them. An address that is taken reads back as itself, names a key,
// and can be located unless it has a name.
func FuzzNodeText(f *testing.F) {
	judge := idle(f)
	f.Add(enodeAt(2, "8.8.8.8", 30303))
	f.Add(enodeAt(2, "::1", 1) + "?discport=0")
	f.Add(enodeAt(2, "node.example.org", 65535) + "?discport=1")
	if rec, ok := strangersRecord(f, 2, []byte{8, 8, 8, 8}, 30303, 30303, entryBytes(f, judge.forkID())); ok {
		f.Add(rec.String())
	}
	f.Add("enr:-" + strings.Repeat("A", 600))
	f.Add("enode://" + strings.Repeat("f", 128) + "@1.2.3.4:1")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddr(text)
		if CheckNodes([]string{text}) != nil && err == nil {
			t.Errorf("%q is an address but names no node", text)
		}
		if err != nil {
			if len(err.Error()) > 1024 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("the error is %q", err)
			}
			return
		}
		id, host, port, ok := parts(a)
		if !ok || keyOf(id) == nil || port == 0 || len(a.Text) > maxAddr {
			t.Fatalf("%q is %+v", text, a)
		}
		if again, err := ParseAddr(a.Text); err != nil || again != a {
			t.Errorf("%q is %v, and that is %v, %v", text, a, again, err)
		}
		if _, err := netip.ParseAddr(host); err == nil {
			if _, by, ok := judge.w.Locate(a); !ok || by != id {
				t.Errorf("%v is not located", a)
			}
		}
	})
}
