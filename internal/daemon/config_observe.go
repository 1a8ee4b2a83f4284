package daemon

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Metrics is the [metrics] table. Metrics and health are served with the RPC
// in any case; these are listeners besides it.
type Metrics struct {
	Listen string   `toml:"listen,omitempty" comment:"where /metrics, /healthz and /readyz are served besides the RPC, without a token" default:"with the RPC only" example:"127.0.0.1:7702"`
	Hosts  []string `toml:"hosts,omitempty" comment:"names that requests to it may be for, besides localhost and IP addresses" example:"node.example.org"`
	Admin  string   `toml:"admin,omitempty" comment:"where profiles are served at /debug/pprof/; an address of loopback" default:"on the unix socket only" example:"127.0.0.1:6060"`
}

// Health is the [health] table: when /readyz says that the node is ready.
type Health struct {
	MinPeers   int      `toml:"min_peers,omitzero" comment:"peers that a ready node has at least" default:"1; of an Ontology network what its nodes wait for: 4, or 1 if it is solo" example:"1"`
	Alone      bool     `toml:"alone,omitempty" comment:"a node without any peer can be ready too" default:"false"`
	MaxHeadAge Duration `toml:"max_head_age,omitzero" comment:"how old a ready node's head is at most" default:"ten blocks, and 30s at least" example:"1m"`
}

// leastHeadAge is the least that the head of a ready node may be old by
// default.
const leastHeadAge = 30 * time.Second

// peers is how many a ready node has.
func (h Health) peers() int {
	switch {
	case h.Alone:
		return 0
	case h.MinPeers == 0:
		return 1
	}
	return h.MinPeers
}

// headAge is how old the head of a ready node is at most.
func (h Health) headAge(interval time.Duration) time.Duration {
	if h.MaxHeadAge != 0 {
		return time.Duration(h.MaxHeadAge)
	}
	return max(leastHeadAge, 10*interval)
}

func (h Health) check(p *problems) {
	if h.MinPeers < 0 || h.MinPeers > mostPeers {
		p.bad("health.min_peers is %d, want 1 to %d; set health.alone if it may have none", h.MinPeers, mostPeers)
	}
	if h.Alone && h.MinPeers > 0 {
		p.bad("health.min_peers is %d and health.alone is set; leave one of them out", h.MinPeers)
	}
}

func (m Metrics) check(p *problems) {
	checkTCP(p, "metrics.listen", m.Listen, "127.0.0.1:7702")
	if checkTCP(p, "metrics.admin", m.Admin, "127.0.0.1:6060") && m.Admin != "" && !isLoopback(m.Admin) {
		p.bad("metrics.admin is %.80q, which other machines can reach; profiles hold what is in memory, so listen on 127.0.0.1", m.Admin)
	}
	if _, port, err := net.SplitHostPort(m.Admin); err == nil && m.Admin == m.Listen && port != "0" {
		p.bad("metrics.listen and metrics.admin are both %.80q; give them different ports", m.Admin)
	}
	checkHosts(p, "metrics.hosts", m.Hosts)
}

// checkHosts checks names that requests may be for.
func checkHosts(p *problems, key string, hosts []string) {
	if len(hosts) > mostRPCNames {
		p.bad("%s has %d entries, want at most %d", key, len(hosts), mostRPCNames)
	}
	if slices.ContainsFunc(hosts, func(h string) bool {
		u, err := url.Parse("http://" + h)
		return h == "" || err != nil || u.Host != h || u.Port() != ""
	}) {
		p.bad("%s is %.200q, want names without ports, as in \"node.example.org\"", key, hosts)
	}
}

// checkTCP checks an address to listen on, and reports whether it is one.
func checkTCP(p *problems, key, address, example string) bool {
	if address == "" {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	number, perr := strconv.ParseUint(port, 10, 16)
	_, aerr := netip.ParseAddr(host)
	if err != nil || perr != nil || strconv.FormatUint(number, 10) != port || aerr != nil && host != "localhost" {
		p.bad("%s is %.80q, want an IP address or localhost, and a port, as in %q", key, address, example)
		return false
	}
	return true
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
