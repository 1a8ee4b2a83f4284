package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/doctor"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/ontology"
)

// Caller calls a running node; rpc.Client is one.
type Caller interface {
	Call(ctx context.Context, method string, result any, params ...any) error
}

// DoctorReply answers starling_doctor: what the node sees from the inside.
type DoctorReply struct {
	V       int             `json:"v"`
	Results []doctor.Result `json:"results"`
	Addrs   []string        `json:"addrs"`  // that it gives as its own
	Knocks  uint64          `json:"knocks"` // inbound links that began
}

// Doctor looks whether a node with that config can work here, and asks the one
// that runs. cfgErr is what LoadConfig failed with; node is nil where none
// answers. It changes nothing, and blocks for 15 s at most, beside the node.
func Doctor(ctx context.Context, cfg Config, cfgErr error, node Caller) doctor.Report {
	if cfgErr != nil || len(cfg.Networks) != 1 {
		if cfgErr == nil {
			cfgErr = errors.New("the config has no network")
		}
		return doctor.Run(ctx, doctor.Input{ConfigErr: cfgErr}, doctor.Env{})
	}
	in := examined(cfg)
	if node != nil {
		var reply DoctorReply
		if err := node.Call(ctx, "starling_doctor", &reply); err != nil {
			in.Notes = append(in.Notes, doctor.Result{
				Check: doctor.CheckLock, Level: doctor.Fail, Detail: "the node that runs does not answer: " + err.Error(),
				Remedy: "look into its log; if it hangs, send it SIGQUIT for a dump, and restart it",
			})
		} else {
			in.Node = &doctor.Node{Results: reply.Results, Told: cfg.Networks[0].endpoints(reply.Addrs), Knocks: reply.Knocks}
		}
	}
	return doctor.Run(ctx, in, doctor.Env{})
}

// examined is what a config says, for the checks.
func examined(cfg Config) doctor.Input {
	n := cfg.Networks[0]
	in := doctor.Input{
		Datadir: cfg.Datadir, Listen: n.endpoints(n.Listen), Advertise: n.endpoints(n.Advertise), Private: n.AllowPrivate,
		NoListen: n.NoListen, MaxPeers: n.MaxPeers, Genesis: n.Sequenced.GenesisTime,
	}
	dir := &Datadir{Path: cfg.Datadir}
	keyFile := n.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join("keys", "node.key")
	}
	if n.Wire == ontology.Name { // which has no other identity
		keyFile = ontologyKey
	}
	in.Keys = append(in.Keys, doctor.Key{What: "the node's identity", Path: dir.resolve(keyFile)})
	if n.Sequenced.ProduceKey != "" {
		in.Keys = append(in.Keys, doctor.Key{What: "the sequencer's key", Path: dir.resolve(n.Sequenced.ProduceKey), Needed: true})
	}
	if n.OPStack.SequencerKey != "" {
		in.Keys = append(in.Keys, doctor.Key{What: "the sequencer's key", Path: dir.resolve(n.OPStack.SequencerKey), Needed: true})
	}
	for _, list := range [][]string{n.Seeds, n.Static, n.Trusted} {
		for _, text := range list {
			if name := n.nameIn(text); name != "" {
				in.Names = append(in.Names, name)
			}
		}
	}
	in.Locked, in.Foreign = inspect(cfg.Datadir)
	warn := func(detail, remedy string) {
		in.Notes = append(in.Notes, doctor.Result{Check: doctor.CheckConfig, Level: doctor.Warn, Detail: detail, Remedy: remedy})
	}
	known := len(n.Seeds) + len(n.Static) + len(n.OPStack.Bootnodes) + len(n.Ethereum.Bootnodes) + len(n.Ethereum.Lists)
	if n.Wire != devp2p.Name {
		known += len(n.Trusted) // there they are let in, not dialled
	}
	produces := n.produces()
	switch {
	case n.NoDial && n.NoListen:
		in.Notes = append(in.Notes, doctor.Result{
			Check: doctor.CheckConfig, Level: doctor.Fail, Detail: "network.no_dial and no_listen are both set: this node can have no peers", Remedy: "take one of them out",
		})
	case known == 0 && n.NoDiscovery && !produces:
		warn("no seeds, no static peers, and discovery is off: this node can only wait to be called", "name a node of the network in network.seeds")
	case known == 0 && !n.MDNS && !produces && !hasBook(dir):
		warn("no seeds, no static peers and an empty address book: discovery has nobody to begin with", "name a node of the network in network.seeds, or set network.mdns on a local network")
	}
	return in
}

// produces reports whether the node makes the network's blocks.
func (n *Network) produces() bool {
	return n.Sequenced.ProduceKey != "" || n.OPStack.SequencerKey != ""
}

// hasBook reports whether peers of an earlier run are known.
func hasBook(dir *Datadir) bool {
	entries, err := os.ReadDir(dir.Sub("peers"))
	return err == nil && len(entries) > 0
}

// inspect says whether another process holds a datadir, and what makes it
// somebody else's. It makes nothing there.
func inspect(path string) (locked bool, problem string) {
	version, err := os.ReadFile(filepath.Join(path, "VERSION"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if stranger, err := foreign(path); err == nil && stranger != "" {
			problem = fmt.Sprintf("%s holds %q and no VERSION: it is not a datadir of starling", path, stranger)
		}
	case err == nil && strings.TrimSpace(string(version)) != datadirVersion:
		problem = fmt.Sprintf("%s is of version %.40q, this program reads %q", path, strings.TrimSpace(string(version)), datadirVersion)
	}
	f, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, problem
	}
	defer f.Close() // which lets the lock go
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK), problem
}

// endpoints reads addresses as the network's wire has them, and what is listened
// on: multiaddrs, or host:port for TCP.
func (n *Network) endpoints(texts []string) (out []doctor.Endpoint) {
	for _, text := range texts {
		e := doctor.Endpoint{Text: text, Net: "tcp"}
		if m, err := ma.NewMultiaddr(text); err == nil {
			for _, part := range m {
				switch part.Protocol().Code {
				case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
					e.Host = part.Value()
				case ma.P_UDP:
					e.Net, e.Port = "udp", portOf16(part.Value())
				case ma.P_TCP:
					e.Port = portOf16(part.Value())
				}
			}
		} else if w, ok := n.kind(); ok {
			e.Host, e.Port = w.hostPort(text)
		}
		if e.Host != "" {
			out = append(out, e)
		}
	}
	return out
}

// hostPort is where an address of the wire leads, or one to listen on, HOST:PORT;
// the host may be a name, and is empty where it is neither.
func (w wireKind) hostPort(text string) (host string, port uint16) {
	if a, err := w.addrs.ParseAddr(text); err == nil {
		if ep, _, ok := w.addrs.Locate(a); ok {
			return ep.Addr().String(), ep.Port()
		}
		// What a wire cannot locate has a name.
		if u, err := url.Parse(a.Text); err == nil && u.Host != "" {
			return u.Hostname(), portOf16(u.Port())
		}
	}
	host, digits, err := net.SplitHostPort(text)
	if n, perr := strconv.ParseUint(digits, 10, 16); err == nil && perr == nil {
		return host, uint16(n)
	}
	return "", 0
}

func portOf16(text string) uint16 {
	n, _ := strconv.ParseUint(text, 10, 16)
	return uint16(n)
}

// nameIn is the host name in an address; empty where it has an IP.
func (n *Network) nameIn(text string) string {
	for _, e := range n.endpoints([]string{text}) {
		if _, isIP := e.IP(); !isIP {
			return e.Host
		}
	}
	return ""
}

// callDoctor tells what the node sees from the inside.
func (n *Node) callDoctor(ctx context.Context, params json.RawMessage) (any, error) {
	if err := rpc.Params(params); err != nil {
		return nil, err
	}
	st := n.node.Client().Status()
	r, err := n.why.explain(ctx, "")
	if err != nil {
		return nil, err
	}
	reply := DoctorReply{V: doctor.Version, Addrs: []string{}}
	for _, a := range st.Addrs {
		reply.Addrs = append(reply.Addrs, a.String())
	}
	if r.Tried != nil {
		reply.Knocks = r.Tried.Knocks
	}
	reply.Results = append(reply.Results, doctor.CheckFileLimit(n.maxPeers, doctor.Env{}))
	clock := doctor.Result{Check: doctor.CheckClock, Level: doctor.OK, Detail: "the peers do not disagree with this machine's clock"}
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Code, "clock:") {
			clock = ofFinding(doctor.CheckClock, f)
			break
		}
	}
	reply.Results = append(reply.Results, clock)
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Code, "clock:") {
			continue
		}
		x := ofFinding(checkOf(f), f)
		if n.first(r) && x.Level == doctor.Fail && (strings.HasPrefix(f.Code, "no-peers:") || strings.HasPrefix(f.Code, "unheard:")) {
			x.Level = doctor.Warn
			x.Detail += "; a network's first node begins so"
		}
		reply.Results = append(reply.Results, x)
	}
	if len(r.Findings) == 0 {
		reply.Results = append(reply.Results, doctor.Result{Check: doctor.CheckPeers, Level: doctor.OK, Detail: r.Summary})
	}
	return reply, nil
}

// first reports whether this is the first node of its network: it makes the
// blocks, and nobody is known whom it could have met.
func (n *Node) first(r why.Report) bool {
	return len(n.cfg.Networks) > 0 && n.cfg.Networks[0].produces() && r.Tried != nil && len(r.Tried.Configured) == 0 && r.Tried.Book == 0
}

// checkOf is the check that a finding of "why" belongs to.
func checkOf(f why.Finding) string {
	switch {
	case strings.HasPrefix(f.Code, "no-inbound:"):
		return doctor.CheckReachability
	case f.Code == codeMistold:
		return doctor.CheckAdvertise
	case f.Code == "not-syncing:disk-full":
		return doctor.CheckDisk
	}
	return doctor.CheckPeers
}

// ofFinding is a finding of "why" as a result.
func ofFinding(check string, f why.Finding) doctor.Result {
	level := doctor.Warn
	if f.Level == why.Trouble {
		level = doctor.Fail
	}
	detail := f.Cause
	if !f.Since.IsZero() {
		detail += " (since " + f.Since.UTC().Format(time.RFC3339) + ")"
	}
	return doctor.Result{Check: check, Level: level, Detail: detail, Remedy: f.Remedy}
}
