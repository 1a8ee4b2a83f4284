package daemon

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/doctor"
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
	} {
		got := endpoints([]string{tt.in})
		if len(got) != 1 || got[0].Host != tt.host || got[0].Net != tt.net || got[0].Port != tt.port || nameIn(tt.in) != tt.name {
			t.Errorf("%s is read as %+v, name %q", tt.in, got, nameIn(tt.in))
		}
	}
	if got := endpoints([]string{"nonsense", "/p2p/x"}); len(got) != 0 {
		t.Errorf("nonsense is read as %+v", got)
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
