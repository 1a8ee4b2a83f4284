package discv

import (
	"context"
	"crypto/ecdsa"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"go.uber.org/goleak"
)

// The node database's pool of buffers ends some seconds after its Close.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func listen(t *testing.T, c Config) *V5 {
	t.Helper()
	c.Key = key(t)
	c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	v, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func entry(s string) enr.Entry { return enr.WithEntry("net", &s) }

func on(s string) func(*enode.Node) bool {
	return func(n *enode.Node) bool {
		var got string
		return n.Load(enr.WithEntry("net", &got)) == nil && got == s
	}
}

func TestPeersOfOurNetworkAreFound(t *testing.T) {
	boot := listen(t, Config{Entries: []enr.Entry{entry("a")}})
	c := Config{Bootnodes: []string{boot.Self().String()}, Entries: []enr.Entry{entry("a")}, TCP: 9222, Filter: on("a")}
	one, two := listen(t, c), listen(t, c)
	c.Entries = []enr.Entry{entry("b")}
	other := listen(t, c)
	want := map[enode.ID]bool{boot.Self().ID(): true, two.Self().ID(): true}
	// A node is handed on once it has answered a ping: that takes some rounds.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(want) > 0 {
		if ctx.Err() != nil {
			t.Fatalf("%d nodes were not found", len(want))
		}
		for _, n := range one.Discover(ctx) {
			if n.ID() == other.Self().ID() || n.ID() == one.Self().ID() {
				t.Fatalf("found %v", n)
			}
			if n.ID() == two.Self().ID() && (n.TCP() != 9222 || n.UDP() != two.Self().UDP() || n.IPAddr() != netip.MustParseAddr("127.0.0.1")) {
				t.Errorf("the record says %v:%d, UDP %d", n.IPAddr(), n.TCP(), n.UDP())
			}
			delete(want, n.ID())
		}
	}
	if len(one.Table()) == 0 {
		t.Error("the table is empty")
	}
}

// However many fitting nodes are known, a round draws some of them at random and
// goes on to look for others.
func TestARoundLooksBeyondTheTable(t *testing.T) {
	a, far := listen(t, Config{}), listen(t, Config{})
	for range RoundFound + 4 {
		n := listen(t, Config{})
		n.udp.AddKnownNode(far.Self())
		a.udp.AddKnownNode(n.Self())
	}
	if n := len(a.Table()); n < RoundFound {
		t.Fatalf("%d nodes are known: nothing is shown by that", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var first []*enode.Node
	found, differs := false, false
	for ctx.Err() == nil && !(found && differs) {
		round, end := context.WithTimeout(ctx, 2*time.Second)
		got := a.Discover(round)
		end()
		if len(got) > RoundFound {
			t.Fatalf("a round gave %d nodes", len(got))
		}
		found = found || slices.ContainsFunc(got, func(n *enode.Node) bool { return n.ID() == far.Self().ID() })
		differs = differs || first != nil && !slices.EqualFunc(first, got, func(a, b *enode.Node) bool { return a.ID() == b.ID() })
		first = got
	}
	if !found || !differs {
		t.Errorf("found what others know: %v; another draw each round: %v", found, differs)
	}
}

func TestDiscoverEndsWithItsContext(t *testing.T) {
	v := listen(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := v.Discover(ctx); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestOurRecordSaysWhatIsAdvertised(t *testing.T) {
	v := listen(t, Config{Advertise: netip.MustParseAddr("203.0.113.7"), AdvertiseUDP: 30000, TCP: 9003})
	if n := v.Self(); n.IPAddr() != netip.MustParseAddr("203.0.113.7") || n.UDP() != 30000 || n.TCP() != 9003 {
		t.Errorf("the record says %v, UDP %d, TCP %d", n.IPAddr(), n.UDP(), n.TCP())
	}
}

// Threat C-06: a port in use is an error of one line that says what to do.
func TestListenSaysWhatIsWrong(t *testing.T) {
	v := listen(t, Config{})
	taken := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(v.Self().UDP()))
	for says, c := range map[string]Config{
		"choose another port": {Key: key(t), Listen: taken},
		"boot node":           {Key: key(t), Listen: taken, Bootnodes: []string{"enr:nonsense"}},
		"net restriction":     {Key: key(t), Listen: taken, NetRestrict: "10.0.0.0/99"},
		"needs Key":           {Listen: taken},
	} {
		_, err := Listen(c)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q in one line", err, says)
		}
	}
}
