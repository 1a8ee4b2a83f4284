package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Endpoint is an address to listen on or to give to others.
type Endpoint struct {
	Text string // as the config has it
	Net  string // "tcp" or "udp"
	Host string // an IP address, or a name
	Port uint16
}

// IP is the host as an IP address; false where it is a name.
func (e Endpoint) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(e.Host)
	return ip.Unmap(), err == nil
}

// Input is what the config says, and what is known of a node that runs. A zero
// field means that the config says nothing of it.
type Input struct {
	// ConfigErr is what is wrong with the config; then nothing else is looked at.
	ConfigErr error
	// Notes are contradictions of the config that are no errors.
	Notes []Result

	Datadir string
	Locked  bool // another process holds the datadir
	Foreign string
	Keys    []Key

	Listen    []Endpoint
	Advertise []Endpoint
	Private   bool // private addresses are what the network is made of
	NoListen  bool
	Names     []string // of hosts, in seeds, static and trusted

	MaxPeers int
	Genesis  time.Time // the clock cannot be before it; zero: not known

	// Node is what the running node says; nil: none runs, or none answers.
	Node *Node
}

// Key is a key file.
type Key struct {
	What   string // "the node's identity"
	Path   string
	Needed bool // it is not made if it is missing
}

// Node is what a running node says of itself.
type Node struct {
	Results []Result   // of its own checks
	Told    []Endpoint // what it gives as its addresses
	Knocks  uint64     // inbound links that began
}

// Env is what the checks look at beside files. Zero fields are the machine's own.
type Env struct {
	Now     func() time.Time
	Lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Bind    func(ctx context.Context, network, addr string) error
	Files   func() (soft uint64, err error)
	Space   func(dir string) (free, total uint64, err error)
	LocalIP func() ([]netip.Addr, error)
}

func (e Env) withDefaults() Env {
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Lookup == nil {
		e.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if e.Dial == nil {
		e.Dial = (&net.Dialer{}).DialContext
	}
	if e.Bind == nil {
		e.Bind = bind
	}
	if e.Files == nil {
		e.Files = files
	}
	if e.Space == nil {
		e.Space = space
	}
	if e.LocalIP == nil {
		e.LocalIP = localIPs
	}
	return e
}

// checkTime bounds each look at the network.
const checkTime = 5 * time.Second

// Run makes all checks, and blocks for them: about 15 s at most.
func Run(ctx context.Context, in Input, env Env) Report {
	env = env.withDefaults()
	if in.ConfigErr != nil {
		remedy := `correct the line that it names; "starling config check" says whether it is right then`
		if errors.Is(in.ConfigErr, fs.ErrNotExist) {
			remedy = `make one with "starling init", or name the right one with --config or --datadir`
		}
		return Of(Result{CheckConfig, Fail, strings.ReplaceAll(in.ConfigErr.Error(), "\n", "; "), remedy})
	}
	out := append([]Result{}, in.Notes...)
	if len(in.Notes) == 0 {
		out = append(out, Result{Check: CheckConfig, Level: OK, Detail: "the config is valid"})
	}
	out = append(out, checkDatadir(in)...)
	out = append(out, checkDisk(in, env))
	for _, k := range in.Keys {
		out = append(out, checkKey(k))
	}
	if in.Node == nil {
		out = append(out, CheckFileLimit(in.MaxPeers, env))
	}
	out = append(out, checkClock(in, env))
	out = append(out, checkPorts(ctx, in, env)...)
	out = append(out, checkAdvertise(in, env)...)
	out = append(out, checkReach(ctx, in, env)...)
	out = append(out, checkNames(ctx, in, env)...)
	if in.Node != nil {
		out = append(out, in.Node.Results...)
	}
	return Of(out...)
}

// checkClock holds the clock against what must lie in the past.
func checkClock(in Input, env Env) Result {
	now := env.Now()
	const remedy = "set the clock: have the machine keep time with NTP (timedatectl set-ntp true)"
	if !in.Genesis.IsZero() && now.Before(in.Genesis) {
		return Result{CheckClock, Fail, "it is " + now.UTC().Format(time.RFC3339) + " by this machine's clock, which is before the network's genesis (" + in.Genesis.UTC().Format(time.RFC3339) + ")", remedy + "; or the genesis in the config is wrong"}
	}
	if now.Year() < leastYear {
		return Result{CheckClock, Fail, "it is " + now.UTC().Format(time.RFC3339) + " by this machine's clock, which is before this program was written", remedy}
	}
	return Result{Check: CheckClock, Level: OK, Detail: "it is " + now.UTC().Format(time.RFC3339) + " by this machine's clock; a running node compares it with its peers'"}
}

// leastYear is when this was written: no clock that is right shows less.
const leastYear = 2025
