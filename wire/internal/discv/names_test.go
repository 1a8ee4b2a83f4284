package discv

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/p2p/enode"
)

// named is an enode URL with a host's name in the place of an address.
func named(t *testing.T, host string) string {
	return strings.Replace(enode.NewV4(&key(t).PublicKey, []byte{127, 0, 0, 1}, 9, 9).URLv4(), "127.0.0.1", host, 1)
}

// dns answers for one name only, and says which it was asked for.
func dns(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if _, limited := ctx.Deadline(); !limited {
		return nil, errors.New("asked without a limit in time")
	}
	if host == "boot.example.org" {
		return []netip.Addr{netip.MustParseAddr("::ffff:203.0.113.7"), netip.MustParseAddr("203.0.113.8"), netip.MustParseAddr("2001:db8::1")}, nil
	}
	return nil, errors.New("no such host")
}

// Boot nodes may be named by host. One that DNS does not know is left out with a
// warning, and discovery starts with the others.
func TestBootNodesAreFoundByName(t *testing.T) {
	var log bytes.Buffer
	c := Config{lookup: dns, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	nodes, err := ParseNodes([]string{named(t, "boot.example.org"), named(t, "gone.example.org"), named(t, "127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	got := c.located(nodes)
	if len(got) != 2 || got[0].ID() != nodes[0].ID() || got[1] != nodes[2] {
		t.Fatalf("located gives %v of %v", got, nodes)
	}
	if ip := got[0].IPAddr(); ip != netip.MustParseAddr("203.0.113.7") || got[0].UDP() != 9 || got[0].ValidateComplete() != nil {
		t.Errorf("the named node is at %v, UDP %d, %v", ip, got[0].UDP(), got[0].ValidateComplete())
	}
	if text := log.String(); !strings.Contains(text, "gone.example.org") || strings.Contains(text, "boot.example.org") || strings.Count(text, "level=WARN") != 1 {
		t.Errorf("the log says %s", text)
	}

	c.Bootnodes, c.Key, c.Listen = []string{named(t, "gone.example.org")}, key(t), netip.MustParseAddrPort("127.0.0.1:0")
	v, err := Listen(c)
	if err != nil {
		t.Fatalf("Listen with an unknown name: %v", err)
	}
	v.Close()
	p, err := ListenPair(PairConfig{Config: c, BootnodesV4: c.Bootnodes})
	if err != nil {
		t.Fatalf("ListenPair with an unknown name: %v", err)
	}
	p.Close()
}
