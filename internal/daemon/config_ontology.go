package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

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
