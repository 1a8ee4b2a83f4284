package daemon

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/doctor"
	"github.com/starlingp2p/starling/wire/devp2p"
)

// checked gives the result of a check.
func checked(t *testing.T, r doctor.Report, check string) doctor.Result {
	t.Helper()
	for _, x := range r.Results {
		if x.Check == check {
			return x
		}
	}
	t.Fatalf("no check %q in %+v", check, r)
	return doctor.Result{}
}

func TestDoctorWithoutANode(t *testing.T) {
	cfg := newConfig(t)
	r := Doctor(t.Context(), cfg, nil, nil)
	if r.Failed() {
		t.Errorf("%+v", r)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg.Networks[0].Listen = []string{"/ip4/127.0.0.1/tcp/" + portOf(taken)}
	if x := Doctor(t.Context(), cfg, nil, nil).Results[0]; x.Check != doctor.CheckPorts || x.Level != doctor.Fail || !strings.Contains(x.Detail, cfg.Networks[0].Listen[0]) {
		t.Errorf("with a port in use: %+v", x)
	}
	if x := Doctor(t.Context(), Config{}, errors.New("line 3 is wrong"), nil).Results[0]; x.Check != doctor.CheckConfig || !strings.Contains(x.Detail, "line 3") {
		t.Errorf("with a bad config: %+v", x)
	}
	key := filepath.Join(cfg.Datadir, cfg.Networks[0].Sequenced.ProduceKey)
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if x := Doctor(t.Context(), cfg, nil, nil).Results[0]; x.Check != doctor.CheckKeys || !strings.Contains(x.Remedy, "chmod 600 "+key) {
		t.Errorf("with a loose key: %+v", x)
	}
}

func TestDoctorAsksTheNodeThatRuns(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].Sequenced.ProduceKey = "" // the network's first node may be alone
	cfg.Networks[0].NoDiscovery = true
	c := running(t, cfg)
	r := Doctor(t.Context(), cfg, nil, c)
	if x := checked(t, r, doctor.CheckLock); x.Level != doctor.OK || !strings.Contains(x.Detail, "holds the datadir") {
		t.Errorf("%+v", x)
	}
	if x := checked(t, r, doctor.CheckPeers); x.Level != doctor.Fail || !strings.HasPrefix(x.Detail, "no peers: nobody is known") {
		t.Errorf("%+v", x)
	}
	if x := checked(t, r, doctor.CheckReachability); x.Level != doctor.OK {
		t.Errorf("%+v", x)
	}
	checked(t, r, doctor.CheckFiles)
	// Another that holds the folder and does not answer is a trouble.
	if x := checked(t, Doctor(t.Context(), cfg, nil, nil), doctor.CheckLock); x.Level != doctor.Fail {
		t.Errorf("%+v", x)
	}
}

func TestAddressesAreReadForTheDoctor(t *testing.T) {
	for _, tt := range []struct {
		in, host, net string
		port          uint16
		name          string
	}{
		{"/ip4/192.0.2.1/tcp/4001", "192.0.2.1", "tcp", 4001, ""},
		{"/ip6/2001:db8::1/udp/4001/quic-v1", "2001:db8::1", "udp", 4001, ""},
		{"/dns4/seed.example.org/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp", "seed.example.org", "tcp", 1, "seed.example.org"},
		{"node.example.org:20338", "node.example.org", "tcp", 20338, "node.example.org"},
		{"[::1]:7", "::1", "tcp", 7, ""},
		{opEnode + "@192.0.2.1:30303?discport=30304", "192.0.2.1", "tcp", 30303, ""},
		{opEnode + "@[2001:db8::1]:30303", "2001:db8::1", "tcp", 30303, ""},
		{opEnode + "@node.example.org:30303", "node.example.org", "tcp", 30303, "node.example.org"},
		{"enr:-KG4QNTx85fjxABbSq_Rta9wy56nQ1fHK0PewJbGjLm1M4bMGx5-3Qq4ZX2-iFJ0pys_O90sVXNNOxp2E7afBsGsBrgDhGV0aDKQu6TalgMAAAD__________4JpZIJ2NIJpcIQEnfA2iXNlY3AyNTZrMaECGXWQ-rQ2KZKRH1aOW4IlPDBkY4XDphxg9pxKytFCkayDdGNwgiMog3VkcIIjKA", "4.157.240.54", "tcp", 9000, ""},
	} {
		n := Network{Wire: "devp2p"}
		endpoints, nameIn := n.endpoints, n.nameIn
		got := endpoints([]string{tt.in})
		if len(got) != 1 || got[0].Host != tt.host || got[0].Net != tt.net || got[0].Port != tt.port || nameIn(tt.in) != tt.name {
			t.Errorf("%s is read as %+v, name %q", tt.in, got, nameIn(tt.in))
		}
	}
	if got := (&Network{Wire: "devp2p"}).endpoints([]string{"nonsense", "/p2p/x", opEnode, "enode://x@1.2.3.4:5"}); len(got) != 0 {
		t.Errorf("nonsense is read as %+v", got)
	}
}

const opEnode = "enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0"

// What a node of Ethereum's tells is looked at, in the form that it has there: a
// router's address is no private one, and each is tried; names of peers are asked
// for.
func TestTheDoctorReadsEnodes(t *testing.T) {
	n := Network{Wire: "devp2p", Listen: []string{"0.0.0.0:30303"}, Static: []string{opEnode + "@node.example.org:30303"}}
	in := examined(Config{Datadir: t.TempDir(), Networks: []Network{n}})
	if len(in.Names) != 1 || in.Names[0] != "node.example.org" {
		t.Errorf("the names of peers are %q", in.Names)
	}
	dialled := ""
	env := doctor.Env{
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		},
		Dial:    func(_ context.Context, _, at string) (net.Conn, error) { dialled = at; return nil, unix.ECONNREFUSED },
		Bind:    func(context.Context, string, string) error { return unix.EADDRINUSE },
		LocalIP: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.168.1.4")}, nil },
	}
	for _, tt := range []struct {
		at   string
		want doctor.Level
		says string
	}{
		{"203.0.113.9:30399", doctor.OK, "fits"}, // a router's
		{"192.168.1.4:30303", doctor.Warn, "192.168.1.4"},
		{"127.0.0.1:30303", doctor.Warn, "192.168.1.4"}, // where none is known yet
	} {
		in.Node = &doctor.Node{Told: n.endpoints([]string{opEnode + "@" + tt.at})}
		r := doctor.Run(t.Context(), in, env)
		if x := checked(t, r, doctor.CheckAdvertise); x.Level != tt.want || !strings.Contains(x.Detail, tt.says) {
			t.Errorf("at %s: %+v, want %s with %q", tt.at, x, tt.want, tt.says)
		}
		if x := checked(t, r, doctor.CheckReachability); dialled != tt.at || !strings.Contains(x.Detail, tt.at) {
			t.Errorf("at %s: %q was tried, %+v", tt.at, dialled, x)
		}
	}
}

// seenElsewhere is a wire that others see at another address than it tells.
type seenElsewhere struct{ ok bool }

func (s seenElsewhere) Mistold() (devp2p.Mistold, bool) {
	return devp2p.Mistold{Told: netip.MustParseAddr("203.0.113.7"), Seen: netip.MustParseAddr("203.0.113.9"), By: 4}, s.ok
}

// What the self-check of our address found is told by "why", and by the doctor
// where it speaks of what is advertised.
func TestThatWeAreSeenElsewhereIsTold(t *testing.T) {
	f := mistold(seenElsewhere{true})(nil)
	if len(f) != 1 || !strings.Contains(f[0].Cause, "others are told 203.0.113.7, and see this node at 203.0.113.9") || !strings.Contains(f[0].Remedy, "network.advertise") {
		t.Fatalf("%+v", f)
	}
	if x := ofFinding(checkOf(f[0]), f[0]); x.Check != doctor.CheckAdvertise || x.Level != doctor.Warn {
		t.Errorf("the doctor says %+v", x)
	}
	if f := mistold(seenElsewhere{})(nil); len(f) != 0 {
		t.Errorf("where all agree: %+v", f)
	}
}

// The first node of a network makes blocks that nobody hears yet: that is
// told, and no fault.
func TestDoctorLetsAFirstNodeBeAlone(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].NoDiscovery = true
	r := Doctor(t.Context(), cfg, nil, running(t, cfg))
	if x := checked(t, r, doctor.CheckPeers); r.Failed() || x.Level != doctor.Warn {
		t.Errorf("%+v in %+v", x, r)
	}
}

// The doctor names the file of the identity that the wire has.
func TestTheDoctorLooksForTheWiresOwnKey(t *testing.T) {
	for wire, want := range map[string]string{"native": "node.key", "devp2p": "node.key", "ontology": "ontology.key"} {
		in := examined(Config{Datadir: t.TempDir(), Networks: []Network{{Wire: wire}}})
		if len(in.Keys) == 0 || filepath.Base(in.Keys[0].Path) != want {
			t.Errorf("on %s it looks for %+v, want %s", wire, in.Keys, want)
		}
	}
}
