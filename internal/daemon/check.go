package daemon

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/sequenced"
	"github.com/starlingp2p/starling/peer"
)

// Bounds of what a config may say; those of the parts that are configured.
const (
	defaultMaxPeers = 50
	mostPeers       = 10_000
	mostAddrs       = 1024 // of each list
	leastSyncMemory = 1 << 20
	leastBlock      = 1 << 10
	mostBlock       = 1 << 30
)

// problems collects what is wrong with a config.
type problems struct{ errs []error }

func (p *problems) bad(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *problems) add(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// validate reports every problem of the config, each with its key, the value
// and what is wanted. What it lets pass, no part refuses for its value.
func (c *Config) validate() error {
	var p problems
	if c.ConfigVersion != ConfigVersion {
		p.bad("config_version is %d, this program reads %d; \"starling config docs\" prints a config of that version", c.ConfigVersion, ConfigVersion)
	}
	_, err := c.Level()
	p.add(err)
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		p.bad("log_format is %.80q, want \"text\" or \"json\"", c.LogFormat)
	}
	for _, part := range slices.Sorted(maps.Keys(c.LogLevels)) {
		_, err := partLevel(part, c.LogLevels[part])
		p.add(err)
	}
	c.RPC.check(&p)
	c.Metrics.check(&p)
	c.Health.check(&p)
	if len(c.Networks) != 1 {
		p.bad("%d [[network]] tables, want exactly 1", len(c.Networks))
		return errors.Join(p.errs...)
	}
	n := &c.Networks[0]
	if n.Name == "" || len(n.Name) > 64 || peer.Clean(n.Name) != n.Name {
		p.bad("network.name is %.80q, want 1 to 64 bytes that can be printed", n.Name)
	}
	n.checkLimits(&p)
	n.checkContradictions(&p)
	_, err = n.TargetRef()
	p.add(err)
	if w, ok := n.kind(); ok {
		n.checkAddrs(&p, w)
		if n.checkPreset(&p) {
			n.checkTables(&p, w)
		}
	} else {
		p.bad("network.wire is %.80q, this program has %q", n.Wire, WireNames())
	}
	return errors.Join(p.errs...)
}

func (n *Network) checkLimits(p *problems) {
	peers := n.MaxPeers
	if peers == 0 {
		peers = defaultMaxPeers
	}
	if peers < 1 || peers > mostPeers {
		p.bad("network.max_peers is %d, want 1 to %d", peers, mostPeers)
	} else if most := peers - (peers+2)/3; n.MaxInbound > most {
		p.bad("network.max_inbound is %d, want at most %d: a third of max_peers (%d) is kept for peers that the node dials itself", n.MaxInbound, most, peers)
	}
	if n.MaxInbound < 0 {
		p.bad("network.max_inbound is %d, want at least 1", n.MaxInbound)
	}
	if !(n.MinScore >= -100 && n.MinScore <= 0) {
		p.bad("network.min_score is %g, want -100 to 0", n.MinScore)
	}
	if d := time.Duration(n.DiscoveryInterval); d != 0 && (d < time.Second || d > 24*time.Hour) {
		p.bad("network.discovery_interval is %v, want 1s to 24h", d)
	}
	l := n.Limits
	if l.SyncMemory != 0 && l.SyncMemory < leastSyncMemory {
		p.bad("network.limits.sync_memory is %d bytes, want at least %d", l.SyncMemory, leastSyncMemory)
	}
	if l.NoBudgets && (l.PeerRate != 0 || l.PrefixRate != 0 || l.GlobalRate != 0) {
		p.bad("network.limits.no_budgets is set, but a rate is given too; leave one of them out")
	}
	for _, pair := range []struct {
		small, large string
		a, b         Size
	}{
		{"peer_rate", "prefix_rate", l.PeerRate, l.PrefixRate},
		{"prefix_rate", "global_rate", l.PrefixRate, l.GlobalRate},
		{"peer_rate", "global_rate", l.PeerRate, l.GlobalRate},
	} {
		if pair.b != 0 && pair.a > pair.b {
			p.bad("network.limits.%s is %d bytes, more than %s (%d bytes); no peer can have more than all of them", pair.small, pair.a, pair.large, pair.b)
		}
	}
}

func (n *Network) checkContradictions(p *problems) {
	both := func(set, other string, args ...any) {
		p.bad("network.%s is set, but "+other+"; leave one of them out", append([]any{set}, args...)...)
	}
	if n.NoListen && len(n.Listen) > 0 {
		both("no_listen", "listen names %.100q", n.Listen[0])
	}
	if n.NoListen && len(n.Advertise) > 0 {
		both("no_listen", "advertise names %.100q", n.Advertise[0])
	}
	if n.NoListen && n.MaxInbound > 0 {
		both("no_listen", "max_inbound is %d", n.MaxInbound)
	}
	for _, list := range []struct {
		key   string
		addrs []string
	}{{"static", n.Static}, {"trusted", n.Trusted}, {"seeds", n.Seeds}} {
		if n.NoDial && len(list.addrs) > 0 {
			both("no_dial", "%s names %.100q to dial", list.key, list.addrs[0])
		}
	}
	if n.NoDiscovery && n.MDNS {
		p.bad("network.no_discovery and mdns are both set; leave one of them out")
	}
}

// checkTables looks at the tables that describe a chain: the one of the wire's
// own, and that there is no other.
func (n *Network) checkTables(p *problems, w wireKind) {
	for _, table := range []struct {
		name, wire string
		empty      bool
	}{
		{"sequenced", "native", reflect.ValueOf(n.Sequenced).IsZero()},
		{"opstack", "opstack", reflect.ValueOf(n.OPStack).IsZero()},
		{"ethereum", "devp2p", reflect.ValueOf(n.Ethereum).IsZero()},
		{"ontology", "ontology", reflect.ValueOf(n.Ontology).IsZero()},
	} {
		if table.wire != w.name && !table.empty {
			p.bad("[network.%s] describes a chain of the wire %q, and network.wire is %q; leave one of them out", table.name, table.wire, w.name)
		}
	}
	w.check(n, p)
}

// checkAddrs parses every address as the wire will.
func (n *Network) checkAddrs(p *problems, w wireKind) {
	prefixes, err := n.Prefixes()
	p.add(err)
	for _, list := range []struct {
		key   string
		addrs []string
	}{{"static", n.Static}, {"trusted", n.Trusted}, {"seeds", n.Seeds}} {
		if len(list.addrs) > mostAddrs {
			p.bad("network.%s has %d addresses, want at most %d", list.key, len(list.addrs), mostAddrs)
			continue
		}
		for _, text := range list.addrs {
			a, err := w.addrs.ParseAddr(text)
			if err != nil {
				p.bad("network.%s: %w", list.key, withoutPackage(err))
				continue
			}
			if ep, _, ok := w.addrs.Locate(a); ok && len(prefixes) > 0 && !contains(prefixes, ep.Addr()) {
				p.bad("network.%s names %s, which network.net_restrict does not let us dial; add its range, or leave it out", list.key, text)
			}
		}
	}
	for _, list := range []struct {
		key   string
		addrs []string
	}{{"listen", n.Listen}, {"advertise", n.Advertise}} {
		if len(list.addrs) > mostAddrs {
			p.bad("network.%s has %d addresses, want at most %d", list.key, len(list.addrs), mostAddrs)
			continue
		}
		for _, text := range list.addrs {
			if err := w.listen(list.key, text); err != nil {
				p.bad("network.%s has %.100q, %w", list.key, text, err)
			}
		}
	}
}

// multiaddrOf checks that an address to listen on, or to tell others, is a
// multiaddr whose part behind the host has one of some forms.
func multiaddrOf(forms ...string) func(key, text string) error {
	return func(key, text string) error { return checkMultiaddr(key, text, forms) }
}

func checkMultiaddr(key, text string, forms []string) error {
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return errors.New("which is no multiaddr; write it as /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1")
	}
	form := ""
	for _, part := range m {
		form += "/" + part.Protocol().Name
	}
	host, rest, _ := strings.Cut(strings.TrimPrefix(form, "/"), "/")
	names := []string{"ip4", "ip6"}
	if key == "advertise" {
		names = append(names, "dns", "dns4", "dns6")
	}
	if !slices.Contains(names, host) || !slices.Contains(forms, rest) {
		var ports []string
		for _, f := range forms {
			proto, more, _ := strings.Cut(f, "/")
			ports = append(ports, strings.TrimSuffix("/"+proto+"/PORT/"+more, "/"))
		}
		return fmt.Errorf("which is not of a form that this wire has; want /%s with %s", strings.Join(names, ", /"), strings.Join(ports, " or "))
	}
	if key == "advertise" && manet.IsIPUnspecified(m) {
		return errors.New("which nobody can dial; name the address at which others reach the node")
	}
	return nil
}

func contains(ps []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

func (s *Sequenced) check(p *problems) {
	_, err := s.Key()
	p.add(err)
	if s.GenesisTime.IsZero() {
		p.bad("network.sequenced.genesis_time is missing; it is part of the genesis block and the same on every node")
	} else if s.GenesisTime.Year() < 1970 || s.GenesisTime.Year() > 2261 {
		p.bad("network.sequenced.genesis_time is %s, want one of the years 1970 to 2261", s.GenesisTime.Format(time.RFC3339))
	}
	if d := time.Duration(s.BlockInterval); d != 0 && d < time.Millisecond {
		p.bad("network.sequenced.block_interval is %v, want at least 1ms", d)
	}
	if b := s.MaxBlock; b != 0 && (b < leastBlock || b > mostBlock) {
		p.bad("network.sequenced.max_block is %d bytes, want %d to %d", b, leastBlock, mostBlock)
	}
	sum := uint64(0)
	for _, text := range slices.Sorted(maps.Keys(s.Alloc)) {
		if _, err := sequenced.ParseAddress(text); err != nil {
			p.bad("network.sequenced.alloc: %w", withoutPackage(err))
		}
		if sum+s.Alloc[text] < sum {
			p.bad("network.sequenced.alloc gives out more than 64 bits hold")
			break
		}
		sum += s.Alloc[text]
	}
}

// withoutPackage cuts the package's name off an error's text: to an operator
// the key of the config is what tells.
func withoutPackage(err error) error {
	for _, prefix := range []string{"p2phost: ", "discv: ", "sequenced: ", "native: ", "codec: ", "opstack: ", "networks: ", "jwt: "} {
		if text, ok := strings.CutPrefix(err.Error(), prefix); ok {
			return errors.New(text)
		}
	}
	return err
}

// Level is the log level.
func (c *Config) Level() (slog.Level, error) {
	return parseLevel("log_level", c.LogLevel)
}

// Prefixes is net_restrict.
func (n *Network) Prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range n.NetRestrict {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("network.net_restrict has %.80q, want a prefix such as \"10.0.0.0/8\"", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// TargetRef is target, which is written "NUMBER:HASH".
func (n *Network) TargetRef() (chain.Ref, error) {
	if n.Target == "" {
		return chain.Ref{}, nil
	}
	ref, err := parseTarget(n.Target)
	if err != nil {
		return ref, fmt.Errorf("network.%w", err)
	}
	return ref, nil
}

// parseTarget reads a block's number and hash.
func parseTarget(text string) (ref chain.Ref, err error) {
	number, hash, ok := strings.Cut(text, ":")
	_, err = fmt.Sscanf(number, "%d", &ref.Number)
	if ok && err == nil {
		ref.Hash, err = chain.ParseHash(hash)
	}
	if !ok || err != nil {
		return ref, fmt.Errorf("target is %.100q, want \"NUMBER:HASH\"", text)
	}
	return ref, nil
}

// Key is the sequencer's public key.
func (s *Sequenced) Key() (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(s.Sequencer)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("network.sequenced.sequencer is %.80q, want an ed25519 public key in %d hex digits", s.Sequencer, 2*ed25519.PublicKeySize)
	}
	return key, nil
}
