package daemon

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// gethFlags are the flags of geth v1.17.10 and v1.13.15 that are about its
// network, its pool and its interfaces (cmd/utils/flags.go).
func gethFlags() []flagName {
	const (
		ns, eth   = "network.", "network.ethereum."
		pool      = "what can be executed is not known, so all that waits has one bound: txpool.globalslots in all, and txpool.accountqueue of a sender"
		stateless = "nothing is executed and no state is kept; leave it out"
		door      = "[rpc] listen is the address of HTTP and WebSocket, with a token for what changes something"
		preset    = "name the network in [[network]]: preset"
	)
	return []flagName{
		{name: "port", with: "network.listen"},
		{name: "maxpeers", key: ns + "max_peers"},
		{name: "maxpendpeers", only: []string{"0", "50"}, why: "50 handshakes at once and 16 of an address range are let in"},
		{name: "nodiscover", key: ns + "no_discovery"},
		{name: "discovery.port", key: eth + "discovery_port"},
		{name: "discovery.v4", with: "the opposite of network.ethereum.no_discv4"},
		{name: "discovery.v5", with: "the opposite of network.ethereum.no_discv5"},
		{name: "discovery.dns", key: eth + "lists"},
		{name: "netrestrict", key: ns + "net_restrict"},
		{name: "nodekey", key: ns + "key_file"},
		{name: "nodekeyhex", secret: true, why: "the identity has a file of its own; write the key into one of mode 0600 and name it in network.key_file"},
		{name: "networkid", key: eth + "network_id"},
		{name: "syncmode", key: eth + "mode"},
		{name: "identity", why: "others see the program and its version; leave it out"},
		{name: "datadir", why: "datadir stands at the head of the config, or is given as --datadir"},
		{name: "mainnet", why: preset},
		{name: "sepolia", why: preset},
		{name: "hoodi", why: preset},
		{name: "synctarget", why: "a block that is trusted is network.target, as NUMBER:HASH"},
		{name: "eth.requiredblocks", why: "a block that is trusted is network.target, as NUMBER:HASH"},
		{name: "txpool.journal", only: []string{"transactions.rlp"}, why: "own transactions are journalled in the datadir"},
		{name: "txpool.rejournal", why: "own transactions are journalled at once"},
		{name: "txpool.nolocals", only: []string{"false"}, why: "own transactions are kept apart from those of others"},
		{name: "txpool.locals", why: "what comes by eth_sendRawTransaction is our own"},
		{name: "txpool.lifetime", key: eth + "pool_lifetime"},
		{name: "txpool.pricelimit", why: "whoever bids least makes room; there is no least price"},
		{name: "txpool.pricebump", only: []string{"10"}, why: "a replacement bids a tenth more, one with blobs twice as much"},
		{name: "txpool.accountslots", why: pool},
		{name: "txpool.globalslots", key: eth + "pool_txs"},
		{name: "txpool.accountqueue", key: eth + "pool_per_sender"},
		{name: "txpool.globalqueue", why: pool},
		{name: "http", why: door},
		{name: "http.addr", why: door},
		{name: "http.port", why: door},
		{name: "http.api", why: "all namespaces are served; what changes something takes the token"},
		{name: "http.corsdomain", why: "web pages that may call are [rpc] origins"},
		{name: "http.vhosts", why: "host names that may be called are [rpc] hosts"},
		{name: "ws", why: door},
		{name: "ws.addr", why: door},
		{name: "ws.port", why: door},
		{name: "ws.origins", why: "web pages that may call are [rpc] origins"},
		{name: "ipcdisable", only: []string{"false"}, why: "the socket is how the command line speaks to the node"},
		{name: "ipcpath", why: "the socket is starling.sock in the datadir"},
		{name: "authrpc.addr", with: "with authrpc.port: network.ethereum.engine_listen"},
		{name: "authrpc.port", with: "with authrpc.addr: network.ethereum.engine_listen"},
		{name: "authrpc.jwtsecret", key: eth + "engine_jwt"},
		{name: "authrpc.vhosts", key: eth + "engine_hosts"},
		{name: "metrics", why: "[metrics] listen is where they are"},
		{name: "metrics.addr", why: "[metrics] listen is where they are"},
		{name: "metrics.port", why: "[metrics] listen is where they are"},
		{name: "verbosity", why: "log_level stands at the head of the config"},
		{name: "mine", why: "a private clique network is sealed with network.ethereum.signer_key; else no block is made"},
		{name: "miner.etherbase", why: "a clique signer's key is network.ethereum.signer_key"},
		{name: "unlock", why: "no accounts are kept; a clique signer's key is network.ethereum.signer_key"},
		{name: "cache", why: stateless},
		{name: "gcmode", why: stateless},
		{name: "snapshot", why: stateless},
		{name: "state.scheme", why: stateless},
	}
}

// gethNames is [network.ethereum] with geth's flags in it. bootnodes, nat and
// ethstats are keys of ours by the same name.
func gethNames() flagTable {
	flags := gethFlags()
	return flagTable{
		table: "ethereum", of: "geth's that is known here", flags: flags,
		mine: func(name string) bool {
			root, _, _ := strings.Cut(name, ".")
			return slices.Contains([]string{"discovery", "txpool", "http", "ws", "authrpc", "metrics", "eth", "state", "miner"}, root) ||
				slices.ContainsFunc(flags, func(f flagName) bool { return f.name == name })
		},
		join: func(_ *Config, _ string, given flagValues, set setFlag, bad badFlag) {
			if port := given["port"]; port != "" {
				set("port", "network.listen", net.JoinHostPort("0.0.0.0", port))
			}
			if flag := given.first("authrpc.addr", "authrpc.port"); flag != "" {
				set(flag, "network.ethereum.engine_listen", net.JoinHostPort(given.or("authrpc.addr", "127.0.0.1"), given.or("authrpc.port", "8551")))
			}
			for _, version := range []string{"v4", "v5"} {
				flag, key := "discovery."+version, "no_disc"+version
				text := given[flag]
				if text == "" {
					continue
				}
				on, err := strconv.ParseBool(text)
				if err != nil {
					bad(flag, "%s is %.40q, want true or false", flag, text)
					continue
				}
				if !on {
					set(flag, "network.ethereum."+key, "true")
				}
			}
		},
	}
}
