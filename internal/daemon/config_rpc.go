package daemon

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// RPC is the [rpc] table: JSON-RPC over TCP, besides the unix socket in the
// datadir, which is always there.
type RPC struct {
	Listen         string   `toml:"listen,omitempty" comment:"where JSON-RPC, events and health are served over HTTP and WebSocket; port 0: any free one" default:"on the unix socket only" example:"127.0.0.1:7701"`
	Hosts          []string `toml:"hosts,omitempty" comment:"names that requests may be for, besides localhost and IP addresses" example:"node.example.org"`
	Origins        []string `toml:"origins,omitempty" comment:"web pages whose scripts may call" example:"https://example.org"`
	TokenFile      string   `toml:"token_file,omitempty" comment:"whoever shows this token may do anything; made once" default:"keys/rpc.token"`
	ReadTokenFile  string   `toml:"read_token_file,omitempty" comment:"whoever shows this token may read, where listen can be reached from other machines" default:"none" example:"keys/read.token"`
	MaxConnections int      `toml:"max_connections,omitzero" comment:"how many connections at most" default:"256"`
	Rate           int      `toml:"rate,omitzero" comment:"calls a second of one client" default:"200"`
}

// Bounds of the [rpc] table.
const (
	mostRPCConns = 10_000
	mostRPCRate  = 1_000_000
	mostRPCNames = 64
)

// defaultTokenFile is where the token is, seen from the datadir.
const defaultTokenFile = "keys/rpc.token"

// public reports whether other machines can reach the listener.
func (r *RPC) public() bool {
	host, _, err := net.SplitHostPort(r.Listen)
	if err != nil || host == "localhost" {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err != nil || !a.IsLoopback()
}

func (r *RPC) check(p *problems) {
	if r.Listen != "" {
		host, port, err := net.SplitHostPort(r.Listen)
		number, perr := strconv.ParseUint(port, 10, 16)
		_, aerr := netip.ParseAddr(host)
		switch {
		case err != nil || perr != nil || strconv.FormatUint(number, 10) != port:
			p.bad("rpc.listen is %.80q, want an address and a port, as in \"127.0.0.1:7701\"", r.Listen)
		case aerr != nil && host != "localhost":
			p.bad("rpc.listen is %.80q, want an IP address or localhost before the port", r.Listen)
		case r.public() && r.TokenFile == "":
			p.bad("rpc.listen is %.80q, which other machines can reach, but rpc.token_file is not set; set it (%q is made for you), or listen on 127.0.0.1", r.Listen, defaultTokenFile)
		}
	}
	if len(r.Hosts) > mostRPCNames || len(r.Origins) > mostRPCNames {
		p.bad("rpc.hosts and rpc.origins have %d and %d entries, want at most %d each", len(r.Hosts), len(r.Origins), mostRPCNames)
		return
	}
	for _, h := range r.Hosts {
		if u, err := url.Parse("http://" + h); h == "" || err != nil || u.Host != h || u.Port() != "" || h == "*" {
			p.bad("rpc.hosts has %.80q, want a name without port, as in \"node.example.org\"", h)
		}
	}
	for _, o := range r.Origins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o {
			p.bad("rpc.origins has %.80q, want scheme and host, as in \"https://example.org\"", o)
		}
	}
	if r.ReadTokenFile != "" && r.ReadTokenFile == r.TokenFile {
		p.bad("rpc.read_token_file is the same as rpc.token_file; who may read would have all authority")
	}
	if r.MaxConnections < 0 || r.MaxConnections > mostRPCConns {
		p.bad("rpc.max_connections is %d, want 1 to %d", r.MaxConnections, mostRPCConns)
	}
	if r.Rate < 0 || r.Rate > mostRPCRate {
		p.bad("rpc.rate is %d, want 1 to %d", r.Rate, mostRPCRate)
	}
}
