package daemon

import (
	"slices"
	"strings"
)

// opFlags are all flags of op-node v1.19.6 that are about its P2P stack and its
// signer (op-node/flags/p2p_flags.go, op-service/signer/cli.go).
func opFlags() []flagName {
	ns, ops := "network.", opTable
	return []flagName{
		{name: "p2p.disable", bare: true, only: []string{"false"}, why: "a node without peers has nothing to do here; stop it"},
		{name: "p2p.no-discovery", bare: true, key: ns + "no_discovery"},
		{name: "p2p.scoring", only: []string{"light"}, why: "peers are always held to account; what you trust goes into static or trusted"},
		{name: "p2p.scoring.peers", only: []string{"light"}, why: "as for p2p.scoring"},
		{name: "p2p.scoring.topics", only: []string{"light"}, why: "as for p2p.scoring"},
		{name: "p2p.score.bands", why: "it does nothing in op-node either; leave it out"},
		{name: "p2p.ban.peers", bare: true, only: []string{"true"}, why: "peers are always held to account; what you trust goes into static or trusted"},
		{name: "p2p.ban.threshold", key: ns + "min_score"},
		{name: "p2p.ban.duration", only: []string{"1h", "1h0m0s"}, why: "bans last 1 h, then 4 h, then 24 h; use starling ban for another time"},
		{name: "p2p.priv.path", file: true, key: ns + "key_file"},
		{name: "p2p.priv.raw", secret: true, why: "the identity has a file of its own; write the key into one of mode 0600 and name it in key_file"},
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
		{name: "p2p.nat", bare: true, only: []string{"false"}, why: "no router is asked to map a port; map it there, and name the outer address in advertise"},
		{name: "p2p.useragent", key: ops + "agent"},
		{name: "p2p.timeout.negotiation", only: []string{"10s"}, why: "it does nothing in op-node; here a connection has 10 s to become a session"},
		{name: "p2p.timeout.accept", only: []string{"10s"}, why: "it does nothing in op-node; here a handshake has 5 s"},
		{name: "p2p.timeout.dial", only: []string{"10s"}, why: "a dial has 10 s, names and handshakes included"},
		{name: "p2p.peerstore.path", only: []string{"opnode_peerstore_db"}, why: "what is known of peers is in the datadir, under peers; choose the datadir"},
		{name: "p2p.discovery.path", only: []string{"opnode_discovery_db"}, why: "what discovery knows is in the datadir, under peers; choose the datadir"},
		{name: "p2p.sequencer.key", secret: true, with: "64 hex digits, in a config of mode 0600; network.opstack.sequencer_key names a file"},
		{name: "p2p.gossip.mesh.d", key: ops + "mesh_d"},
		{name: "p2p.gossip.mesh.lo", key: ops + "mesh_lo"},
		{name: "p2p.gossip.mesh.dhi", key: ops + "mesh_hi"},
		{name: "p2p.gossip.mesh.dlazy", key: ops + "mesh_lazy"},
		{name: "p2p.gossip.mesh.floodpublish", bare: true, only: []string{"true"}, why: "a block of ours is told to all members of its topic, so that no mesh can withhold it; leave it out"},
		{name: "p2p.gossip.timestamp.threshold", key: ops + "gossip_max_age"},
		{name: "p2p.sync.req-resp", bare: true, only: []string{"true"}, why: "a member serves what it has; limits.peer_rate says how fast"},
		{name: "p2p.sync.onlyreqtostatic", bare: true, only: []string{"false"}, why: "every peer is asked for what is missing; max_peers and no_discovery say whom there is to ask"},
		{name: "p2p.ping", bare: true, only: []string{"true"}, why: "it is how a peer that is gone without a word is found out"},
		{name: "signer.endpoint", key: ops + "signer_endpoint"},
		{name: "signer.address", key: ops + "signer_address"},
		{name: "signer.header", key: ops + "signer_headers"},
		{name: "signer.tls.enabled", bare: true, only: []string{"true"}, why: "the scheme of signer.endpoint says it: https:// or http://"},
		{name: "signer.tls.ca", file: true, key: ops + "signer_ca"},
		{name: "signer.tls.cert", file: true, key: ops + "signer_cert"},
		{name: "signer.tls.key", file: true, key: ops + "signer_key"},
		{name: "log.level", key: "log_level", value: opLevel},
		{name: "log.format", key: "log_format", value: gethFormat},
		{name: "syncmode", only: []string{"consensus-layer"}, why: "missing blocks always come from peers; engine names an execution client that is to follow"},
		{name: "syncmode.req-resp", bare: true, only: []string{"true"}, why: "missing blocks always come from peers"},
	}
}

// opLevel is a level of op-node's as ours.
func opLevel(text string) string {
	if text = strings.ToLower(text); text == "trace" {
		return "debug"
	}
	return text
}

// What several flags make together.
const (
	opListen    = "with its like: network.listen"
	opAdvertise = "with its like: network.advertise"
)

// opTable is the table whose keys may be op-node's flags.
const opTable = "network.opstack."

// opRoots are the words that op-node's flags begin with.
func opRoots() []string { return []string{"p2p", "signer", "syncmode", "log"} }

// opNames is [network.opstack] with op-node's flags in it.
func opNames() flagTable {
	return flagTable{
		table: "opstack", program: "op-node", of: "op-node's P2P stack", flags: opFlags(),
		elsewhere: map[string]string{"p2p.bootnodes": "network.seeds"},
		mine: func(name string) bool {
			root, _, _ := strings.Cut(name, ".")
			return slices.Contains(opRoots(), root)
		},
		join: func(c *Config, path string, given flagValues, set setFlag, bad badFlag) {
			c.joinFlags(given, set, bad)
			c.takeOPKey(path, given, bad)
		},
	}
}

// takeOPKey takes the sequencer's key out of a config that nobody else can read.
func (c *Config) takeOPKey(path string, given flagValues, bad badFlag) {
	if key := given["p2p.sequencer.key"]; key != "" {
		switch o, open := &c.Networks[0].OPStack, openToOthers(path); {
		case open != nil:
			bad("p2p.sequencer.key", "p2p.sequencer.key is a secret, and %w", open)
		case o.SequencerKey != "":
			bad("p2p.sequencer.key", "p2p.sequencer.key and %ssequencer_key are both set; leave one of them out", opTable)
		default:
			o.SequencerHex = key
		}
	}
}
