package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// Ethereum is the [network.ethereum] table: a network of Ethereum's kind.
type Ethereum struct {
	Identity       string   `toml:"identity,omitempty" comment:"a name of this node's own, which others see with the program's" default:"none" example:"harbour-1"`
	Genesis        string   `toml:"genesis,omitempty" comment:"the network's genesis.json, as geth init takes it; a preset has its own" example:"genesis.json"`
	NetworkID      uint64   `toml:"network_id,omitzero" comment:"the number that peers compare" default:"the genesis' chain id" example:"1337"`
	Versions       []uint64 `toml:"versions,omitempty" comment:"of the eth protocol that are offered" default:"all that this program has" example:"68,69"`
	Bootnodes      []string `toml:"bootnodes,omitempty" comment:"whom discovery asks first, over UDP at the port of listen" example:"enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:30303"`
	BootnodesV5    []string `toml:"bootnodes_v5,omitempty" comment:"whom discv5 asks first, where those are others" default:"bootnodes" example:"enode://3c72addb4fdf09af94f0c94d7fe92a386a7e70cf8a1d85916386bb2535c7b1b13b306b0fe085665d8fc1b28ae1676cd3ad6e08eaeda225fe38d0da4de55703e0@203.0.113.7:30303"`
	Lists          []string `toml:"lists,omitempty" comment:"lists of nodes in DNS" example:"enrtree://AKA3AM6LPBYEUDMVNU3BSVQJ5AD45Y7YPOHJLEF6W26QOE4VTUDPE@all.mainnet.ethdisco.net"`
	NoDiscV4       bool     `toml:"no_discv4,omitempty" comment:"do not speak discv4" default:"false"`
	NoDiscV5       bool     `toml:"no_discv5,omitempty" comment:"do not speak discv5" default:"false"`
	DiscoveryPort  int      `toml:"discovery_port,omitzero" comment:"the UDP port of discovery" default:"that of listen" example:"30304"`
	SignerKey      string   `toml:"signer_key,omitempty" comment:"the key file of a clique signer, 64 hex digits; only on a node of a private network that seals its empty blocks" example:"keys/signer.key"`
	NAT            string   `toml:"nat,omitempty" comment:"who maps our ports on a router, as geth has it: any, none, upnp, pmp, pmp:IP, extip:IP, stun or stun:HOST:PORT; never those of loopback" default:"any on a preset's network, unless advertise is set; else none" example:"upnp"`
	Ethstats       string   `toml:"ethstats,omitempty" comment:"a page that watches networks and is told of this node, as NAME@HOST:PORT" default:"none" example:"mynode@ethstats.example.org:3000" secret:"url"`
	EthstatsSecret string   `toml:"ethstats_secret,omitempty" comment:"the file with that page's secret, for its owner alone" example:"keys/ethstats.secret"`
	Mode           string   `toml:"mode,omitempty" comment:"full: headers and bodies are fetched; fast: receipts too, by a node that begins with an empty ledger, until it is started again" default:"full" example:"fast"`
	Receipts       bool     `toml:"receipts,omitempty" comment:"fetch and keep receipts in any mode" default:"false"`

	PoolTxs        int      `toml:"pool_txs,omitzero" comment:"how many transactions of others wait for a block at most" default:"16384" example:"5120"`
	PoolPerSender  int      `toml:"pool_per_sender,omitzero" comment:"of one sender" default:"64" example:"64"`
	PoolLifetime   Duration `toml:"pool_lifetime,omitzero" comment:"how long one of others waits at most" default:"3h" example:"3h"`
	PoolPriceLimit uint64   `toml:"pool_price_limit,omitempty" comment:"the least tip of a transaction of others, in wei for a unit of gas" default:"0" example:"1000000"`
	PoolPriceBump  int      `toml:"pool_price_bump,omitzero" comment:"by how much the fees of a transaction must rise to replace another of its nonce, in percent; 100 at least with blobs" default:"10" example:"25"`

	EngineListen string   `toml:"engine_listen,omitempty" comment:"where a consensus client says what block is to be reached (the Engine API), after the Merge; for following, not for staking" default:"nowhere" example:"127.0.0.1:8551"`
	EngineJWT    string   `toml:"engine_jwt,omitempty" comment:"the file with the secret that the two share; made once" default:"keys/jwt.hex"`
	EngineHosts  []string `toml:"engine_hosts,omitempty" comment:"names that calls there may be for, besides localhost and IP addresses" example:"node.example.org"`

	Places map[string]uint64 `toml:"places,omitempty" comment:"sessions, of max_peers, that are kept for peers that speak a version of a protocol" example:"eth/69=8"`
}

// mostIdentity bounds a name of one's own, in bytes: Hello has 2 KiB for all.
const mostIdentity = 64

// agent is what the node calls itself.
func (e *Ethereum) agent() string {
	if e.Identity == "" {
		return "starling/" + Version
	}
	return "starling/" + e.Identity + "/" + Version
}

func (e *Ethereum) check(n *Network, p *problems) {
	if e.Genesis == "" && n.Preset == "" {
		p.bad("network.ethereum.genesis is missing; name the network's genesis.json, or a preset in [[network]]")
	}
	for _, list := range []struct {
		key   string
		nodes []string
	}{{"bootnodes", e.Bootnodes}, {"bootnodes_v5", e.BootnodesV5}} {
		if len(list.nodes) > mostAddrs {
			p.bad("network.ethereum.%s has %d addresses, want at most %d", list.key, len(list.nodes), mostAddrs)
		} else if err := devp2p.CheckNodes(list.nodes); err != nil {
			p.bad("network.ethereum.%s: %w", list.key, withoutPackage(err))
		}
	}
	if _, err := parseStats(e.Ethstats); e.Ethstats != "" && err != nil {
		p.bad("network.ethereum.ethstats: %w", err)
	}
	if len(e.Identity) > mostIdentity || peer.Clean(e.Identity) != e.Identity || strings.Contains(e.Identity, "/") {
		p.bad("network.ethereum.identity is %.80q, want at most %d bytes that can be printed, and no slash", e.Identity, mostIdentity)
	}
	e.checkEngine(p)
	e.checkMode(p)
	e.checkPlaces(n, p)
	e.checkPool(p)
	if e.DiscoveryPort < 0 || e.DiscoveryPort > 65535 {
		p.bad("network.ethereum.discovery_port is %d, want 1 to 65535", e.DiscoveryPort)
	}
	if _, err := devp2p.ParseNAT(e.NAT); err != nil {
		p.bad("network.ethereum.nat: %w", withoutPackage(err))
	}
	for _, v := range e.Versions {
		if !slices.Contains(eth.Versions(), eth.Version(v)) {
			p.bad("network.ethereum.versions has %d, this program has %v", v, eth.Versions())
		}
	}
}

// checkHostPort checks what devp2p listens on, host:port, and what it tells
// others, IP:port.
func checkHostPort(key, text string) error {
	if key == "advertise" {
		if a, err := netip.ParseAddrPort(text); err != nil || a.Addr().IsUnspecified() {
			return errors.New("want the IP address and port at which others reach the node, as 203.0.113.7:30303")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want an IP address and a port, as 0.0.0.0:30303")
	}
	return nil
}

// oneListen is the only address to listen on.
func oneListen(listen []string) (string, error) {
	switch len(listen) {
	case 0:
		return "", nil
	case 1:
		return listen[0], nil
	}
	return "", fmt.Errorf("network.listen has %d addresses, this wire listens on one", len(listen))
}
