package native

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// failing runs a wire that must not start and gives its error.
func failing(t *testing.T, cfg Config) error {
	t.Helper()
	cfg.Status = status
	w, err := New(cfg)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { done <- w.Run(ctx, &wiretest.Host{}) }()
	select {
	case err := <-done:
		return err
	case <-w.Ready():
		cancel()
		<-done
		return nil
	}
}

func TestBadStartIsOneClearLine(t *testing.T) { // C-06, S-08
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	loose := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(loose, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want []string
	}{
		"port in use":     {Config{Listen: []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)}}, []string{fmt.Sprint(port), "in use", "another port"}},
		"not our address": {Config{Listen: []string{"/ip4/8.8.8.8/tcp/4001"}}, []string{"8.8.8.8", "another"}},
		"no multiaddr":    {Config{Listen: []string{"127.0.0.1:4001"}}, []string{"127.0.0.1:4001", "/ip4/"}},
		"loose key":       {Config{KeyFile: loose}, []string{loose, "chmod 600"}},
		"bad topic":       {Config{Topics: []string{"No Spaces"}}, []string{"No Spaces"}},
		"half of two":     {Config{Listen: []string{"/ip4/127.0.0.1/tcp/0", fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)}}, []string{fmt.Sprint(port)}},
	} {
		t.Run(name, func(t *testing.T) {
			err := failing(t, c.cfg)
			if err == nil {
				t.Fatal("Run started")
			}
			t.Log(err)
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %q", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	most := Config{
		Status: status, MaxBlockBytes: codec.MaxBlock, MaxTxBundleBytes: codec.MaxTxBundle, MaxConsensusBytes: codec.MaxConsensus,
		Network: strings.Repeat("n", codec.MaxNetwork), Agent: strings.Repeat("a", codec.MaxAgent),
	}
	for _, good := range []Config{{Status: status}, most} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "Config.Status is missing") {
		t.Errorf("without a status: %v", err)
	}
	_, err := New(Config{
		Status:  func() statusOf { return statusOf{} },
		Network: strings.Repeat("n", codec.MaxNetwork+1), Agent: strings.Repeat("a", codec.MaxAgent+1),
		MaxBlockBytes: codec.MaxBlock + 1, MaxTxBundleBytes: -1, MaxConsensusBytes: codec.MaxConsensus + 1,
		DecodeBudget: -2, ServeRate: -3, ServeBurst: -4, Topics: []string{"No Spaces"}, Listen: []string{"127.0.0.1:4001"},
	})
	for _, want := range []string{
		"zero genesis hash", "has 65 bytes, at most 64", "has 257 bytes, at most 256",
		"MaxBlockBytes is 10485761, want at most 10485760", "MaxTxBundleBytes is -1, want at least 0", "MaxConsensusBytes is 1048577, want at most 1048576",
		"DecodeBudget is -2", "ServeRate is -3", "ServeBurst is -4", "No Spaces", "127.0.0.1:4001",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestDialOnlyNodeKeepsItsKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "keys", "node")
	ctx := within(t, patience)
	b := start(t, loopback(false), &wiretest.Host{})
	var first peer.ID
	for range 2 {
		a := start(t, Config{NoListen: true, KeyFile: key, AllowPrivate: true}, &wiretest.Host{})
		if as := a.Addrs(); len(as) != 0 {
			t.Errorf("Addrs = %v of a node that does not listen", as)
		}
		if first != "" && a.Self() != first {
			t.Errorf("the identity changed from %s to %s", first, a.Self())
		}
		first = a.Self()
		if err := a.Dial(ctx, b.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		a.stop()
	}
}

func TestUnspecifiedAddressesAreResolved(t *testing.T) {
	a := start(t, Config{Listen: []string{"/ip4/0.0.0.0/tcp/0"}}, &wiretest.Host{})
	as := a.Addrs()
	if len(as) == 0 {
		t.Fatal("no addresses")
	}
	for _, x := range as {
		if strings.Contains(x.Text, "/0.0.0.0/") || strings.Contains(x.Text, "/tcp/0/") || !strings.HasSuffix(x.Text, "/p2p/"+string(a.Self())) {
			t.Errorf("address %s is none to dial", x)
		}
	}
}

func TestNoiseAndTLSOverLoopback(t *testing.T) {
	noisy, tls := libp2p.Security(noise.ID, noise.New), libp2p.Security(libtls.ID, libtls.New)
	for name, c := range map[string]struct {
		a, b []libp2p.Option
		ok   bool
	}{
		"noise":    {[]libp2p.Option{noisy}, []libp2p.Option{noisy}, true},
		"tls":      {[]libp2p.Option{tls}, []libp2p.Option{tls}, true},
		"either":   {[]libp2p.Option{noisy, tls}, []libp2p.Option{tls}, true},
		"disjoint": {[]libp2p.Option{noisy}, []libp2p.Option{tls}, false},
	} {
		t.Run(name, func(t *testing.T) {
			with := func(o []libp2p.Option) Config {
				cfg := loopback(false)
				cfg.Libp2pOptions = append([]libp2p.Option{libp2p.Transport(tcp.NewTCPTransport)}, o...)
				return cfg
			}
			a, b := start(t, with(c.a), &wiretest.Host{}), start(t, with(c.b), &wiretest.Host{})
			err := a.Dial(within(t, patience), b.Addrs()[0])
			if c.ok && err != nil {
				t.Error(err)
			}
			if !c.ok && !isReason(err, peer.HandshakeFailed) {
				t.Errorf("Dial = %v, want %s", err, peer.HandshakeFailed)
			}
		})
	}
}

// TestMDNSFindsNeighbours needs multicast, which it gets in a network
// namespace of its own, where the machine lets it make one.
func TestMDNSFindsNeighbours(t *testing.T) {
	if os.Getenv("STARLING_MDNS") == "" {
		unshare, err := exec.LookPath("unshare")
		if err != nil {
			t.Log("unproven here: there is no unshare to make a network namespace with")
			return
		}
		script := `ip link set lo up && ip link add eth9 type veth peer name eth8 && ip addr add 10.99.0.1/24 dev eth9 && ip link set eth8 up && ip link set eth9 multicast on up && ip route add 224.0.0.0/4 dev eth9 && exec "$0" -test.run '^TestMDNSFindsNeighbours$' -test.v -test.timeout 5m`
		cmd := exec.CommandContext(within(t, 3*patience), unshare, "-n", "sh", "-c", script, os.Args[0])
		cmd.Env = append(os.Environ(), "STARLING_MDNS=1")
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "=== RUN") {
			t.Logf("unproven here: no namespace with multicast: %v: %s", err, out)
			return
		}
		if err != nil {
			t.Errorf("in the namespace: %v\n%s", err, out)
		}
		return
	}
	listen := Config{Listen: []string{"/ip4/10.99.0.1/tcp/0"}, MDNS: true, NoDHT: true, NoQUIC: true}
	a, b := start(t, listen, &wiretest.Host{}), start(t, listen, &wiretest.Host{})
	for _, way := range []struct{ who, whom *running }{{a, b}, {b, a}} {
		err := way.who.host.Until(within(t, patience), func() bool {
			for _, f := range wiretest.Reports[wire.Found](way.who.host) {
				if f.Source == wire.SourceMDNS && f.Peers[0].ID == way.whom.Self() {
					return true
				}
			}
			return false
		})
		if err != nil {
			t.Error("mDNS did not find the neighbour")
		}
	}
}
