package daemon

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/ontology"
	"github.com/starlingp2p/starling/wire/ontology"
)

// Ontology is the [network.ontology] table: a network of Ontology's kind.
type Ontology struct {
	Config       string `toml:"config,omitempty" comment:"the configuration file of a private network's nodes, from which its genesis block comes; a public one has a preset" example:"config.json"`
	Magic        uint32 `toml:"magic,omitzero" comment:"the network id of a private network" example:"299"`
	SingleScript bool   `toml:"single_script,omitempty" comment:"a lone bookkeeper's address is written as releases from v1.0.1 on do" default:"false"`
	// ConsensusListen is the second port.
	ConsensusListen string   `toml:"consensus_listen,omitempty" comment:"where nodes before v1.7.0 open their second link, for consensus" default:"nowhere" example:"0.0.0.0:20339"`
	StateRootFrom   uint64   `toml:"state_root_from,omitzero" comment:"the height from which newer releases want a state root behind each block" default:"the network's" example:"3000000"`
	MinGasPrice     uint64   `toml:"min_gas_price,omitzero" comment:"the least that a transaction from peers offers for its gas" default:"500 with a preset, else 0" example:"2500"`
	Mask            []string `toml:"mask,omitempty" comment:"IP addresses that others are never told" example:"203.0.113.7"`
	ReservedOnly    bool     `toml:"reserved_only,omitempty" comment:"have to do with reserved peers only" default:"false"`
	Reserved        []string `toml:"reserved,omitempty" comment:"those: IP addresses, and names that are looked up each minute" example:"203.0.113.7"`
	ReservedFile    string   `toml:"reserved_file,omitempty" comment:"a peers.rsv with more of them, and of masked addresses" example:"peers.rsv"`
	RecentFile      string   `toml:"recent_file,omitempty" comment:"a peers.recent that is read at start and written each minute, in the form in which it is found" example:"peers.recent"`
	SyncPeers       int      `toml:"sync_peers,omitzero" comment:"peers that header sync waits for" default:"what the network's nodes wait for: 4, or 1 if it is solo" example:"1"`
}

// The presets of this wire, and from where the newer releases want a state root.
const (
	ontMain          = "ontology"
	ontPolaris       = "polaris"
	ontMainStateFrom = 3_000_000
	ontGasPrice      = 500 // of the public networks at first; newer releases ask for more
	// The ids for which EIP-155 transactions of the public networks are signed.
	ontMainEVM    = 58
	ontPolarisEVM = 5851
)

func (o *Ontology) check(n *Network, p *problems) {
	switch {
	case n.Preset == "" && o.Config == "":
		p.bad("network.ontology.config is missing; name a private network's config.json, or write preset = %q in [[network]]", ontMain)
	case n.Preset != "" && o.Config != "":
		p.bad("network.ontology.config is set, and so is network.preset; leave one of them out")
	case o.Config != "" && o.Magic == 0:
		p.bad("network.ontology.magic is missing; it is the private network's id (--networkid), and names it in each frame")
	case n.Preset != "" && o.Magic != 0:
		p.bad("network.ontology.magic is set, but a preset has its own; leave one of them out")
	}
	if _, err := o.masked(); err != nil {
		p.bad("%w", err)
	}
	if o.ReservedOnly && len(o.Reserved) == 0 && o.ReservedFile == "" {
		p.bad("network.ontology.reserved_only is set, but there are neither reserved nor reserved_file; name the peers, or leave it out")
	}
	if !o.ReservedOnly && len(o.Reserved) > 0 {
		p.bad("network.ontology.reserved has peers, but reserved_only is not set; set it, or name them in network.static")
	}
	if o.SyncPeers < 0 || o.SyncPeers > mostPeers {
		p.bad("network.ontology.sync_peers is %d, want 1 to %d", o.SyncPeers, mostPeers)
	} else if most := cmp.Or(n.MaxPeers, defaultMaxPeers); o.SyncPeers > most {
		p.bad("network.ontology.sync_peers is %d, more than network.max_peers (%d): so many can never be there; lower it, or raise max_peers", o.SyncPeers, most)
	}
	if o.ConsensusListen != "" {
		if err := checkHostPort("listen", o.ConsensusListen); err != nil {
			p.bad("network.ontology.consensus_listen is %.80q, %w", o.ConsensusListen, err)
		}
	}
}

// network describes the chain to its ledger family.
func (o *Ontology) network(of *Network, read func(path string) ([]byte, error)) (family.Network, error) {
	var n family.Network
	switch of.Preset {
	case ontMain:
		n = family.MainNet()
	case ontPolaris:
		n = family.Polaris()
	default:
		raw, err := read(o.Config)
		if err != nil {
			return n, err
		}
		if n, err = family.ParseNetwork(raw); err != nil {
			return n, err
		}
		n.Magic, n.SingleScript = o.Magic, o.SingleScript
	}
	n.Name = of.Name
	return n, nil
}

// masked are the addresses that others are never told.
func (o *Ontology) masked() (out []netip.Addr, err error) {
	for _, text := range o.Mask {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("network.ontology.mask is %.80q, want IP addresses without ports", text)
		}
		out = append(out, a.Unmap().WithZone(""))
	}
	return out, nil
}

// restrict reads the file of reserved peers, if there is one: who they are, and
// whom others are never told of.
func (o *Ontology) restrict(read func(path string) ([]byte, error)) (all []string, mask []netip.Addr, err error) {
	if mask, err = o.masked(); err != nil {
		return nil, nil, err
	}
	all = slices.Clone(o.Reserved)
	if o.ReservedFile == "" {
		return all, mask, nil
	}
	raw, err := read(o.ReservedFile)
	if err != nil {
		return nil, nil, fmt.Errorf("network.ontology.reserved_file: %w", err)
	}
	file, err := ontology.ParseReserved(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("network.ontology.reserved_file: %w", err)
	}
	return append(all, file.Reserved...), append(mask, file.Mask...), nil
}

// seeds are those of the network, for a config that names none. In the file of
// a private one they are what its nodes would use.
func (o *Ontology) seeds(n family.Network) (out []string) {
	for _, s := range n.SeedList {
		if _, err := new(ontology.Wire).ParseAddr(s); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// pool is for transactions that wait for a block.
func (o *Ontology) pool(preset string, l *ledger.Ledger, journal string, log *slog.Logger) (*family.Pool, error) {
	c := family.PoolConfig{State: l, Journal: journal, MinGasPrice: o.MinGasPrice, Logger: log}
	if preset != "" && c.MinGasPrice == 0 {
		c.MinGasPrice = ontGasPrice
	}
	switch preset {
	case ontMain:
		c.EVMChainID = ontMainEVM
	case ontPolaris:
		c.EVMChainID = ontPolarisEVM
	}
	return family.NewPool(context.Background(), c)
}

func (o *Ontology) stateRootFrom(preset string) uint64 {
	if o.StateRootFrom == 0 && preset == ontMain {
		return ontMainStateFrom
	}
	return o.StateRootFrom
}
