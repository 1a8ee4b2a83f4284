package daemon

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// opFlag is one of op-node's flags, which [network.opstack] takes by its name.
// One of key, only and why is set, or the flag is one of several that together
// make something of ours.
type opFlag struct {
	name string
	// key is what the flag stands for here.
	key string
	// only are the values that say what is always so here. Another one, and any
	// where there is none, is refused, and why says why, and what to use.
	only []string
	why  string
	// with is what the flag is a part of, in words.
	with string
}

// opFlags are all flags of op-node v1.19.6 that are about its P2P stack and its
// signer (op-node/flags/p2p_flags.go, op-service/signer/cli.go).
func opFlags() []opFlag {
	ns, ops := "network.", opTable
	return []opFlag{
		{name: "p2p.disable", only: []string{"false"}, why: "a node without peers has nothing to do here; stop it"},
		{name: "p2p.no-discovery", key: ns + "no_discovery"},
		{name: "p2p.scoring", only: []string{"light"}, why: "peers are always held to account; what you trust goes into static or trusted"},
		{name: "p2p.scoring.peers", only: []string{"light"}, why: "as for p2p.scoring"},
		{name: "p2p.scoring.topics", only: []string{"light"}, why: "as for p2p.scoring"},
		{name: "p2p.score.bands", why: "it does nothing in op-node either; leave it out"},
		{name: "p2p.ban.peers", only: []string{"true"}, why: "peers are always held to account; what you trust goes into static or trusted"},
		{name: "p2p.ban.threshold", key: ns + "min_score"},
		{name: "p2p.ban.duration", only: []string{"1h", "1h0m0s"}, why: "bans last 1 h, then 4 h, then 24 h; use starling ban for another time"},
		{name: "p2p.priv.path", key: ns + "key_file"},
		{name: "p2p.priv.raw", why: "the identity has a file of its own; write the key into one of mode 0600 and name it in key_file"},
		{name: "p2p.listen.ip", with: opListen},
		{name: "p2p.listen.tcp", with: opListen},
		{name: "p2p.listen.udp", with: "the port of network.opstack.discovery; left out: that of TCP"},
		{name: "p2p.advertise.ip", with: opAdvertise},
		{name: "p2p.advertise.tcp", with: opAdvertise},
		{name: "p2p.advertise.udp", key: ops + "discovery_udp"},
		{name: "p2p.bootnodes", key: ops + "bootnodes"},
		{name: "p2p.static", key: ns + "static"},
		{name: "p2p.netrestrict", key: ns + "net_restrict"},
		{name: "p2p.mux", only: []string{"yamux,mplex"}, why: "yamux comes first and mplex is there for whoever needs it; leave it out"},
		{name: "p2p.security", with: "`noise` is always so, `noise,tls` is network.opstack.tls, `none` is network.opstack.plaintext"},
		{name: "p2p.peers.lo", with: "with p2p.peers.hi: so many of max_peers are kept for peers that the node dials, the rest is network.max_inbound"},
		{name: "p2p.peers.hi", key: ns + "max_peers"},
		{name: "p2p.peers.grace", key: ns + "peer_grace"},
		{name: "p2p.nat", only: []string{"false"}, why: "no router is asked to map a port; map it there, and name the outer address in advertise"},
		{name: "p2p.useragent", key: ops + "agent"},
		{name: "p2p.timeout.negotiation", only: []string{"10s"}, why: "it does nothing in op-node; here a connection has 10 s to become a session"},
		{name: "p2p.timeout.accept", only: []string{"10s"}, why: "it does nothing in op-node; here a handshake has 5 s"},
		{name: "p2p.timeout.dial", only: []string{"10s"}, why: "a dial has 10 s, names and handshakes included"},
		{name: "p2p.peerstore.path", only: []string{"opnode_peerstore_db"}, why: "what is known of peers is in the datadir, under peers; choose the datadir"},
		{name: "p2p.discovery.path", only: []string{"opnode_discovery_db"}, why: "what discovery knows is in the datadir, under peers; choose the datadir"},
		{name: "p2p.sequencer.key", with: "64 hex digits, in a config of mode 0600; network.opstack.sequencer_key names a file"},
		{name: "p2p.gossip.mesh.d", key: ops + "mesh_d"},
		{name: "p2p.gossip.mesh.lo", key: ops + "mesh_lo"},
		{name: "p2p.gossip.mesh.dhi", key: ops + "mesh_hi"},
		{name: "p2p.gossip.mesh.dlazy", key: ops + "mesh_lazy"},
		{name: "p2p.gossip.mesh.floodpublish", only: []string{"true"}, why: "a block of ours is told to all members of its topic, so that no mesh can withhold it; leave it out"},
		{name: "p2p.gossip.timestamp.threshold", key: ops + "gossip_max_age"},
		{name: "p2p.sync.req-resp", only: []string{"true"}, why: "a member serves what it has; limits.peer_rate says how fast"},
		{name: "p2p.sync.onlyreqtostatic", only: []string{"false"}, why: "every peer is asked for what is missing; max_peers and no_discovery say whom there is to ask"},
		{name: "p2p.ping", only: []string{"true"}, why: "it is how a peer that is gone without a word is found out"},
		{name: "signer.endpoint", key: ops + "signer_endpoint"},
		{name: "signer.address", key: ops + "signer_address"},
		{name: "signer.header", key: ops + "signer_headers"},
		{name: "signer.tls.enabled", only: []string{"true"}, why: "the scheme of signer.endpoint says it: https:// or http://"},
		{name: "signer.tls.ca", key: ops + "signer_ca"},
		{name: "signer.tls.cert", key: ops + "signer_cert"},
		{name: "signer.tls.key", key: ops + "signer_key"},
		{name: "syncmode", only: []string{"consensus-layer"}, why: "missing blocks always come from peers; engine names an execution client that is to follow"},
		{name: "syncmode.req-resp", only: []string{"true"}, why: "missing blocks always come from peers"},
	}
}

// What several flags make together.
const (
	opListen    = "with its like: network.listen"
	opAdvertise = "with its like: network.advertise"
)

// opTable is the table whose keys may be op-node's flags.
const opTable = "network.opstack."

// opRoots are the words that op-node's flags begin with.
func opRoots() []string { return []string{"p2p", "signer", "syncmode"} }

// flagValues are flags with their values as a command line would have them.
type flagValues map[string]string

// takeFlags reads op-node's flags out of [network.opstack], puts what they say
// into the keys that they stand for, and gives back the unknown keys that are
// none. A flag is written as a key with dots, with or without quotes.
func (c *Config) takeFlags(raw []byte, path string, lines map[string]int, unknown []toml.Key) (left []toml.Key, err error) {
	found := false
	for _, k := range unknown {
		root, _, _ := strings.Cut(strings.Join(k[min(2, len(k)):], "."), ".")
		if len(k) > 2 && k[0] == "network" && k[1] == "opstack" && slices.Contains(opRoots(), root) {
			found = true
			continue
		}
		left = append(left, k)
	}
	if !found || len(c.Networks) != 1 {
		return left, nil
	}
	var doc struct {
		Network []struct {
			OPStack map[string]any `toml:"opstack"`
		} `toml:"network"`
	}
	if err := toml.Unmarshal(raw, &doc); err != nil {
		return left, decodeError(err)
	}
	given := flagValues{}
	for _, root := range slices.Sorted(maps.Keys(doc.Network[0].OPStack)) {
		if word, _, _ := strings.Cut(root, "."); slices.Contains(opRoots(), word) {
			if err := given.flatten(root, doc.Network[0].OPStack[root]); err != nil {
				return left, &ConfigError{Line: lines[opTable+root], Err: err}
			}
		}
	}
	return left, c.layFlags(given, lines, path)
}

// flatten takes in a value, or all those of a table.
func (g flagValues) flatten(name string, v any) error {
	if table, ok := v.(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(table)) {
			if err := g.flatten(name+"."+k, table[k]); err != nil {
				return err
			}
		}
		return nil
	}
	if _, twice := g[name]; twice {
		return fmt.Errorf("%s is there twice", opTable+name)
	}
	if list, ok := v.([]any); ok {
		items := make([]string, len(list))
		for i, item := range list {
			items[i] = fmt.Sprint(item)
		}
		v = strings.Join(items, ",")
	}
	g[name] = strings.TrimSpace(fmt.Sprint(v))
	return nil
}

// layFlags writes what flags say into the config. All that is wrong is told.
func (c *Config) layFlags(given flagValues, lines map[string]int, path string) error {
	var bads []*ConfigError
	bad := func(flag, format string, args ...any) {
		bads = append(bads, &ConfigError{Line: lines[opTable+flag], Err: fmt.Errorf(format, args...)})
	}
	from := func(flag string) Origin {
		return Origin(fmt.Sprintf("flag %s at %s:%d", flag, path, lines[opTable+flag]))
	}
	set := func(flag, key, text string) {
		if text == "" {
			return
		}
		f, ok := fieldOf(key)
		if was := c.origins[key]; was != "" || !ok {
			bad(flag, "%s says the same, and %s is set too; leave one of them out", flag, key)
			return
		}
		if err := f.set(c, text); err != nil {
			bad(flag, "%w", err)
			return
		}
		c.origins[key] = from(flag)
	}
	known := map[string]bool{}
	for _, f := range opFlags() {
		known[f.name] = true
		text, ok := given[f.name]
		switch {
		case !ok:
		case f.key != "":
			set(f.name, f.key, text)
		case f.with != "": // below
		case !slices.Contains(f.only, strings.ReplaceAll(text, " ", "")):
			bad(f.name, "%s = %.80q has no counterpart here: %s", f.name, text, f.why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !known[name] {
			bad(name, "%s is no flag of op-node's P2P stack; docs/networks.md lists them", name)
		}
	}
	c.joinFlags(given, set, bad)
	if key := given["p2p.sequencer.key"]; key != "" {
		info, err := os.Stat(path)
		switch o := &c.Networks[0].OPStack; {
		case path != "" && err == nil && info.Mode().Perm()&0o077 != 0:
			bad("p2p.sequencer.key", "p2p.sequencer.key is a secret, and the config can be read by others (mode %04o); run: chmod 600 %s", info.Mode().Perm(), path)
		case o.SequencerKey != "":
			bad("p2p.sequencer.key", "p2p.sequencer.key and %ssequencer_key are both set; leave one of them out", opTable)
		default:
			o.SequencerHex = key
		}
	}
	switch len(bads) {
	case 0:
		return nil
	case 1:
		return bads[0]
	}
	var errs []error
	for _, b := range bads {
		errs = append(errs, fmt.Errorf("line %d: %w", b.Line, b.Err))
	}
	return &ConfigError{Err: errors.Join(errs...)}
}
