package discv

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p/dnsdisc"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
)

func listenPair(t *testing.T, c PairConfig) *Pair { t.Helper(); return pairAt(t, "127.0.0.1:0", c) }

// soon ends in a second.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func pairAt(t *testing.T, at string, c PairConfig) *Pair {
	t.Helper()
	c.Key = key(t)
	c.Listen = netip.MustParseAddrPort(at)
	p, err := ListenPair(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// finds waits until rounds of a have given b.
func finds(t *testing.T, what string, a, b *Pair) *enode.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		round, end := context.WithTimeout(ctx, time.Second)
		found := a.Discover(round)
		end()
		for _, n := range found {
			if n.ID() == b.Self().ID() {
				return n
			}
		}
	}
	t.Fatalf("%s: the other was not found", what)
	return nil
}

// TestEachVersionFindsPeersOnOneSocket: nodes with both versions are found by
// those with one of them, with their whole record.
func TestEachVersionFindsPeersOnOneSocket(t *testing.T) {
	boot := listenPair(t, PairConfig{Config: Config{Entries: []enr.Entry{entry("a")}}})
	c := PairConfig{Config: Config{Entries: []enr.Entry{entry("a")}, TCP: 30303, Filter: on("a"), Bootnodes: []string{boot.Self().String()}}, BootnodesV4: []string{boot.Self().URLv4()}}
	both := listenPair(t, c)
	c.Entries = []enr.Entry{entry("b")}
	listenPair(t, c)
	c.Entries = []enr.Entry{entry("a")}
	c.NoV5 = true
	four := listenPair(t, c)
	c.NoV4, c.NoV5 = true, false
	five := listenPair(t, c)
	for what, by := range map[string]*Pair{"v4": four, "v5": five} {
		n := finds(t, what, by, both)
		var net string
		if n.TCP() != 30303 || n.Load(enr.WithEntry("net", &net)) != nil || net != "a" {
			t.Errorf("%s: the record is %v", what, n)
		}
		finds(t, what+" itself", both, by)
	}
	before := both.Self().Seq()
	both.Set(entry("c"))
	if both.Self().Seq() <= before {
		t.Error("a changed record has no new number")
	}
}

func TestPairsAreRefusedForAReason(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:0")
	for _, c := range []PairConfig{
		{},
		{Config: Config{Key: key(t), Listen: at}, NoV4: true, NoV5: true},
		{Config: Config{Key: key(t), Listen: at}, BootnodesV4: []string{"nonsense"}},
		{Config: Config{Key: key(t), Listen: at, NetRestrict: "10.0.0.0/99"}},
		{Config: Config{Key: key(t), Listen: netip.MustParseAddrPort("203.0.113.9:1")}},
	} {
		if p, err := ListenPair(c); err == nil {
			p.Close()
			t.Errorf("ListenPair(%+v) = nil", c)
		}
	}
}

// dnsRecords answer DNS from a map.
type dnsRecords map[string]string

func (m dnsRecords) LookupTXT(_ context.Context, domain string) ([]string, error) {
	if r, ok := m[domain]; ok {
		return []string{r}, nil
	}
	return nil, errors.New("no such name")
}

func TestNodeListsAreRead(t *testing.T) {
	signer := key(t)
	var nodes []*enode.Node
	for i := range 20 {
		r := new(enr.Record)
		r.Set(enr.IPv4{10, 0, 0, byte(i)})
		r.Set(enr.TCP(30303))
		net := []string{"a", "b"}[i%2]
		r.Set(enr.WithEntry("net", &net))
		k := key(t)
		if err := enode.SignV4(r, k); err != nil {
			t.Fatal(err)
		}
		n, err := enode.New(enode.ValidSchemes, r)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	tree, url := signedTree(t, signer, nodes)
	l, err := NewLists([]string{url}, tree, on("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// The tree is read as the rounds go on.
	got := map[enode.ID]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(got) < 10 && ctx.Err() == nil {
		round, end := context.WithTimeout(ctx, time.Second)
		for _, n := range l.Discover(round) {
			got[n.ID()] = true
		}
		end()
	}
	if len(got) != 10 {
		t.Errorf("%d records were found, want 10", len(got))
	}
	if _, err := NewLists([]string{"enrtree://nonsense"}, tree, nil); err == nil {
		t.Error("a bad URL is taken")
	}
	// A name that is not there ends with the round.
	other, err := NewLists([]string{url}, dnsRecords{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	short, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	if got := other.Discover(short); len(got) != 0 {
		t.Errorf("%d records from nowhere", len(got))
	}
}

func signedTree(t *testing.T, k *ecdsa.PrivateKey, nodes []*enode.Node) (dnsRecords, string) {
	t.Helper()
	tree, err := dnsdisc.MakeTree(1, nodes, nil)
	if err != nil {
		t.Fatal(err)
	}
	url, err := tree.Sign(k, "nodes.example.org")
	if err != nil {
		t.Fatal(err)
	}
	out := dnsRecords{}
	for name, text := range tree.ToTXT("nodes.example.org") {
		out[name] = text
	}
	return out, url
}
