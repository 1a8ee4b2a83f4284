package daemon

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/starlingp2p/starling/chain"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// OPStack is the [network.opstack] table: a chain of the OP Stack.
type OPStack struct {
	ChainID        uint64   `toml:"chain_id,omitzero" comment:"the chain's number; this, block_time, the genesis, sequencer, system_config and forks are the same on every node" example:"10"`
	BlockTime      Duration `toml:"block_time,omitzero" comment:"the pause between two blocks, in whole seconds" default:"2s"`
	GenesisNumber  uint64   `toml:"genesis_number,omitempty" comment:"the number of the first block" default:"0"`
	GenesisHash    string   `toml:"genesis_hash,omitempty" comment:"the hash of the first block" example:"0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"`
	GenesisTime    uint64   `toml:"genesis_time,omitzero" comment:"the time of the first block, in Unix seconds" example:"1686068903"`
	Sequencer      string   `toml:"sequencer,omitempty" comment:"the address whose signature makes a block authentic" example:"0xAAAA45d9549EDA09E70937013520214382Ffc4A2"`
	SequencerFile  string   `toml:"sequencer_file,omitempty" comment:"a file with that address, which is looked at every 10s" example:"sequencer.txt"`
	L1             string   `toml:"l1,omitempty" comment:"the JSON-RPC of an L1 node, which is asked for that address every 10m" example:"http://127.0.0.1:8545" secret:"url"`
	SystemConfig   string   `toml:"system_config,omitempty" comment:"the chain's SystemConfig contract on L1; goes with l1" example:"0x229047fed2591dbec1eF1118d64F7aF3dB9EB290"`
	L1Depth        uint64   `toml:"l1_depth,omitzero" comment:"how many blocks below L1's head the address is read" default:"0" example:"4"`
	SequencerKey   string   `toml:"sequencer_key,omitempty" comment:"the sequencer's key file, 64 hex digits; only on the node that makes the blocks of a private chain" example:"keys/sequencer.key"`
	SignerEndpoint string   `toml:"signer_endpoint,omitempty" comment:"an op-signer's JSON-RPC, which signs the blocks in the place of sequencer_key" example:"https://127.0.0.1:8443" secret:"url"`
	SignerAddress  string   `toml:"signer_address,omitempty" comment:"the account that it signs with; goes with signer_endpoint" example:"0xAAAA45d9549EDA09E70937013520214382Ffc4A2"`
	SignerHeaders  []string `toml:"signer_headers,omitempty" comment:"what is sent with each request to it; in a config of mode 0600, since it may be a secret" example:"X-Role: sequencer" secret:"header"`
	SignerCA       string   `toml:"signer_ca,omitempty" comment:"the certificate of who vouches for it, in PEM" default:"the system's" example:"tls/ca.crt"`
	SignerCert     string   `toml:"signer_cert,omitempty" comment:"our certificate to it, in PEM; read again at each connection" example:"tls/tls.crt"`
	SignerKey      string   `toml:"signer_key,omitempty" comment:"the key of our certificate, of mode 0600; goes with signer_cert" example:"tls/tls.key"`
	Engine         string   `toml:"engine,omitempty" comment:"the Engine API of an execution client that is to follow the unsafe head" example:"http://127.0.0.1:8551" secret:"url"`
	EngineJWT      string   `toml:"engine_jwt,omitempty" comment:"the file with the secret that the two share, 64 hex digits: that of the client's --authrpc.jwtsecret; goes with engine" example:"/var/lib/geth/jwtsecret"`
	Agent          string   `toml:"agent,omitempty" comment:"what the node calls itself" default:"starling and its version" example:"optimism"`
	TLS            bool     `toml:"tls,omitempty" comment:"TLS is offered after Noise" default:"false"`
	Plaintext      bool     `toml:"plaintext,omitempty" comment:"nothing is encrypted; on loopback only" default:"false"`
	GossipMaxAge   Duration `toml:"gossip_max_age,omitzero" comment:"how old a block may be that is gossiped, in whole seconds" default:"1m"`
	MeshD          int      `toml:"mesh_d,omitzero" comment:"how many peers a topic's mesh should have" default:"8"`
	MeshLo         int      `toml:"mesh_lo,omitzero" comment:"with fewer it looks for more" default:"6"`
	MeshHi         int      `toml:"mesh_hi,omitzero" comment:"with more it lets some go" default:"12"`
	MeshLazy       int      `toml:"mesh_lazy,omitzero" comment:"how many beside them are told what there is" default:"6"`
	Discovery      string   `toml:"discovery,omitempty" comment:"the UDP address of discovery" default:"that of listen" example:"0.0.0.0:9222"`
	DiscoveryUDP   int      `toml:"discovery_udp,omitzero" comment:"the UDP port that our record says" default:"that of discovery" example:"9222"`
	Bootnodes      []string `toml:"bootnodes,omitempty" comment:"whom discovery asks first, as enr:… or enode://…" example:"enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:9222"`
	// Forks is the fork schedule.
	Forks map[string]uint64 `toml:"forks,omitempty" comment:"from when the rules of a fork count, in Unix seconds; 0: from the first block" example:"canyon=1704992401"`

	// SequencerHex is what op-node's p2p.sequencer.key says. It is a secret and
	// has no key of ours, so that nothing writes it anywhere.
	SequencerHex string `toml:"-"`
}

// defaultOPBlockTime is OP Mainnet's.
const defaultOPBlockTime = 2 * time.Second

func (o *OPStack) check(n *Network, p *problems) {
	if o.ChainID == 0 {
		p.bad("network.opstack.chain_id is missing; it is part of every topic and signature of the chain")
	}
	if d := time.Duration(o.BlockTime); d%time.Second != 0 || d > time.Hour {
		p.bad("network.opstack.block_time is %v, want whole seconds, at most an hour", d)
	}
	if o.GenesisTime == 0 {
		p.bad("network.opstack.genesis_time is missing; block numbers are told from it")
	}
	if h, err := chain.ParseHash(o.GenesisHash); err != nil || h.IsZero() {
		p.bad("network.opstack.genesis_hash is %.80q, want the first block's hash, 64 hex digits behind 0x", o.GenesisHash)
	}
	known := family.ForkNames()
	for _, name := range slices.Sorted(maps.Keys(o.Forks)) {
		if !slices.Contains(known, name) {
			p.bad("network.opstack.forks has %.40q, want one of %q", name, known)
		}
	}
	if _, err := codec.ParseAddress(o.Sequencer); o.Sequencer != "" && err != nil {
		p.bad("network.opstack.sequencer: %w", withoutPackage(err))
	}
	o.checkSource(n, p)
	o.checkSigner(p)
	o.checkWire(n, p)
	o.checkEngine(p)
}

// checkSource looks at where the sequencer's address comes from.
func (o *OPStack) checkSource(n *Network, p *problems) {
	switch {
	case o.SequencerFile != "" && o.L1 != "":
		p.bad("network.opstack.sequencer_file and l1 both tell who the sequencer is; leave one of them out")
	case o.L1 == "" && o.SystemConfig != "" && n.Preset == "": // a preset has it for when it is needed
		p.bad("network.opstack.system_config is set, but l1 is not; name the JSON-RPC of an L1 node, or leave it out")
	case o.L1 == "" && o.L1Depth != 0:
		p.bad("network.opstack.l1_depth is set, but l1 is not; leave it out")
	case o.L1 != "":
		if u, err := url.Parse(o.L1); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			p.bad("network.opstack.l1 is no URL; write it as http://127.0.0.1:8545") // which may hold a key
		}
		if _, err := codec.ParseAddress(o.SystemConfig); err != nil {
			p.bad("network.opstack.system_config: %w; l1 needs it", withoutPackage(err))
		}
	}
}

// checkDiscovery looks at how the network's peers are found.
func (o *OPStack) checkDiscovery(n *Network, p *problems) {
	if n.NoDiscovery && o.Discovery != "" {
		p.bad("network.no_discovery is set, but opstack.discovery is %.40q; leave one of them out", o.Discovery)
	}
	if n.NoDiscovery && len(o.Bootnodes) > 0 {
		p.bad("network.no_discovery is set, but opstack.bootnodes names %.100q; leave one of them out", o.Bootnodes[0])
	}
	if _, err := netip.ParseAddrPort(o.Discovery); o.Discovery != "" && err != nil {
		p.bad("network.opstack.discovery is %.40q; write it as 0.0.0.0:9222", o.Discovery)
	}
	if len(o.Bootnodes) > mostAddrs {
		p.bad("network.opstack.bootnodes has %d addresses, want at most %d", len(o.Bootnodes), mostAddrs)
	} else if err := opstack.CheckNodes(o.Bootnodes); err != nil {
		p.bad("network.opstack.bootnodes: %w", withoutPackage(err))
	}
}

// discoverOn is the UDP address of discovery; empty: it is off. Where there is
// none in the config, it is that of the first address that is listened on.
func (o *OPStack) discoverOn(n *Network) (string, error) {
	switch {
	case n.NoDiscovery:
		return "", nil
	case o.Discovery != "":
		return o.Discovery, nil
	case n.NoListen:
		return "0.0.0.0:0", nil
	case len(n.Listen) == 0:
		return "0.0.0.0:9222", nil // where the wire listens then
	}
	m, err := ma.NewMultiaddr(n.Listen[0])
	if err != nil {
		return "", err
	}
	at, err := manet.ToNetAddr(m)
	if err != nil {
		return "", err
	}
	return at.String(), nil
}

// sourceKey is the key that says where the sequencer's address comes from, whose
// value may hold a secret; empty: none.
func (o *OPStack) sourceKey() string {
	switch {
	case o.SequencerFile != "":
		return "network.opstack.sequencer_file"
	case o.L1 != "":
		return "network.opstack.l1"
	}
	return ""
}

// source tells who the sequencer is and how often to ask; nil: only the config.
func (o *OPStack) source(dir *Datadir) (family.Source, time.Duration, error) {
	switch {
	case o.SequencerFile != "":
		return family.FileSource{Path: dir.resolve(o.SequencerFile)}, family.FileEvery, nil
	case o.L1 == "":
		return nil, 0, nil
	}
	contract, err := codec.ParseAddress(o.SystemConfig)
	if err != nil {
		return nil, 0, err
	}
	s, err := family.NewL1Source(o.L1, contract, o.L1Depth)
	return s, family.L1Every, err
}

// family describes the chain to its ledger family.
func (o *OPStack) family(name string) (family.Config, error) {
	cfg := family.Config{Network: name, ChainID: o.ChainID, BlockTime: time.Duration(o.BlockTime)}
	if cfg.BlockTime == 0 {
		cfg.BlockTime = defaultOPBlockTime
	}
	hash, err := chain.ParseHash(o.GenesisHash)
	if err != nil {
		return cfg, err
	}
	cfg.MaxAge = time.Duration(o.GossipMaxAge)
	cfg.Genesis = family.Genesis{Number: o.GenesisNumber, Hash: hash, Time: o.GenesisTime}
	for _, name := range slices.Sorted(maps.Keys(o.Forks)) {
		cfg.Forks = append(cfg.Forks, family.Fork{Name: name, Time: o.Forks[name]})
	}
	if o.Sequencer != "" {
		cfg.Signer, err = codec.ParseAddress(o.Sequencer)
	}
	return cfg, err
}
