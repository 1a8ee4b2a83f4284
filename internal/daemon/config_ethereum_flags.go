package daemon

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// gethFlags are the flags of geth v1.17.10, those of its other commands among
// them (cmd/utils/flags.go and flags_legacy.go, internal/debug/flags.go,
// cmd/geth/config.go), and of v1.13.15 those that a private network needed; the
// preset of Ethereum Classic is core-geth's. Each stands for something here or is
// refused with what to do.
func gethFlags() []flagName {
	return slices.Concat(gethNetFlags(), gethPoolFlags(), gethDoorFlags(), gethLogFlags(), gethAbsentFlags())
}

func gethNetFlags() []flagName {
	const ns, eth = "network.", "network.ethereum."
	preset := func(name string) func(string) string {
		return func(on string) string {
			if yes, err := strconv.ParseBool(on); err == nil && !yes {
				return ""
			}
			return name
		}
	}
	return []flagName{
		{name: "mainnet", key: presetKey, bare: true, value: preset("ethereum"), with: "ethereum"},
		{name: "sepolia", key: presetKey, bare: true, value: preset("sepolia"), with: "sepolia"},
		{name: "hoodi", key: presetKey, bare: true, value: preset("hoodi"), with: "hoodi"},
		{name: "classic", key: presetKey, bare: true, value: preset("classic"), with: "classic"},
		{name: "networkid", key: eth + "network_id"},
		{name: "override.genesis", key: eth + "genesis", file: true},
		{name: "syncmode", key: eth + "mode"},
		{name: "port", with: "network.listen"},
		{name: "maxpeers", key: ns + "max_peers"},
		{name: "maxpendpeers", only: []string{"0", "50"}, why: "50 handshakes at once and 16 of an address range are let in"},
		{name: "bootnodes", key: eth + "bootnodes"},
		{name: "nat", key: eth + "nat"},
		{name: "nodiscover", key: ns + "no_discovery", bare: true},
		{name: "discovery.port", key: eth + "discovery_port"},
		{name: "discovery.v4", bare: true, with: "the opposite of network.ethereum.no_discv4"},
		{name: "discovery.v5", bare: true, with: "the opposite of network.ethereum.no_discv5"},
		{name: "discv4", bare: true, with: "as discovery.v4"},
		{name: "discv5", bare: true, with: "as discovery.v5"},
		{name: "discovery.dns", key: eth + "lists"},
		{name: "netrestrict", key: ns + "net_restrict"},
		{name: "nodekey", key: ns + "key_file", file: true},
		{name: "nodekeyhex", secret: true, why: "the identity has a file of its own; write the key into one of mode 0600 and name it in network.key_file"},
		{name: "identity", key: eth + "identity"},
		{name: "ethstats", key: eth + "ethstats"},
		{name: "datadir", why: "datadir stands at the head of the config, or is given as --datadir"},
		{name: "config", why: "a file of geth's is another form; \"starling config docs\" prints one of ours"},
		{name: "synctarget", why: "a block that is trusted is network.target, as NUMBER:HASH"},
		{name: "eth.requiredblocks", why: "a block that is trusted is network.target, as NUMBER:HASH"},
	}
}

func gethPoolFlags() []flagName {
	const (
		eth     = "network.ethereum."
		oneList = "what can be executed is not known, so all that waits has one bound: txpool.globalslots in all, and txpool.accountqueue of a sender"
		oneDisk = "what others sent waits in memory, within txpool.globalslots"
	)
	return []flagName{
		{name: "txpool.journal", only: []string{"transactions.rlp"}, why: "own transactions are journalled in the datadir"},
		{name: "txpool.rejournal", why: "own transactions are journalled at once"},
		{name: "txpool.nolocals", bare: true, only: []string{"false"}, why: "own transactions are kept apart from those of others"},
		{name: "txpool.locals", why: "what comes by eth_sendRawTransaction is our own"},
		{name: "txpool.lifetime", key: eth + "pool_lifetime"},
		{name: "txpool.pricelimit", key: eth + "pool_price_limit"},
		{name: "txpool.pricebump", key: eth + "pool_price_bump"},
		{name: "txpool.accountslots", why: oneList},
		{name: "txpool.globalslots", key: eth + "pool_txs"},
		{name: "txpool.accountqueue", key: eth + "pool_per_sender"},
		{name: "txpool.globalqueue", why: oneList},
		{name: "blobpool.pricebump", only: []string{"100"}, why: "a replacement with blobs bids twice as much, which is what others take"},
		{name: "blobpool.datadir", why: oneDisk},
		{name: "blobpool.datacap", why: oneDisk},
		{name: "blobpool.fetchprobability", why: "a transaction with blobs is fetched whole; leave it out"},
	}
}

func gethDoorFlags() []flagName {
	const (
		eth   = "network.ethereum."
		all   = "all namespaces are served; what changes something takes the token; leave it out"
		path  = "JSON-RPC is served at /; leave it out"
		batch = "batches and bodies have bounds of their own; leave it out"
	)
	return slices.Concat(
		[]flagName{
			{name: "http", bare: true, with: httpDoor},
			{name: "http.addr", with: httpDoor},
			{name: "http.port", with: httpDoor},
			{name: "http.corsdomain", key: "rpc.origins"},
			{name: "http.vhosts", key: "rpc.hosts"},
			{name: "ws", bare: true, with: wsDoor},
			{name: "ws.addr", with: wsDoor},
			{name: "ws.port", with: wsDoor},
			{name: "ws.origins", key: "rpc.origins"},
			{name: "ipcdisable", bare: true, only: []string{"false"}, why: "the socket is how the command line speaks to the node"},
			{name: "ipcpath", why: "the socket is starling.sock in the datadir"},
			{name: "authrpc.addr", with: "with authrpc.port: network.ethereum.engine_listen"},
			{name: "authrpc.port", with: "with authrpc.addr: network.ethereum.engine_listen"},
			{name: "authrpc.jwtsecret", key: eth + "engine_jwt", file: true},
			{name: "authrpc.vhosts", key: eth + "engine_hosts"},
		},
		absent(all, "http.api", "ws.api"),
		absent(path, "http.rpcprefix", "ws.rpcprefix"),
		absent(batch, "rpc.batch-request-limit", "rpc.batch-response-max-size", "rpc.http-body-limit"),
	)
}

func gethLogFlags() []flagName {
	const (
		page = "the log is standard error; what runs the node keeps and turns over the file"
		pull = "metrics are fetched from [metrics] listen, in the form of Prometheus, and sent to nobody"
		rate = "profiles are fetched from [metrics] admin when they are wanted"
		span = "a program that embeds the node brings its tracer; the daemon sends traces to nobody"
	)
	return slices.Concat(
		[]flagName{
			{name: "verbosity", key: "log_level", value: gethLevel},
			{name: "log.format", key: "log_format", value: gethFormat},
			{name: "log.json", bare: true, with: "log_format, json"},
			{name: "log.vmodule", why: "[log_levels] has the levels of the program's parts"},
			{name: "vmodule", why: "[log_levels] has the levels of the program's parts"},
			{name: "metrics", bare: true, only: []string{"true"}, why: "what happens is always counted; without [metrics] listen it is told with the RPC only"},
			{name: "metrics.addr", with: "with metrics.port: metrics.listen"},
			{name: "metrics.port", with: "with metrics.addr: metrics.listen"},
			{name: "pprof", bare: true, with: profDoor},
			{name: "pprof.addr", with: profDoor},
			{name: "pprof.port", with: profDoor},
			{name: "metrics.influxdb.password", secret: true, why: pull},
			{name: "metrics.influxdb.token", secret: true, why: pull},
			{name: "rpc.telemetry.password", secret: true, why: span},
		},
		absent(page, "log.file", "!log.rotate", "log.maxsize", "log.maxbackups", "log.maxage", "!log.compress"),
		absent(pull, "!metrics.influxdb", "metrics.influxdb.endpoint", "metrics.influxdb.database", "metrics.influxdb.username", "metrics.influxdb.tags",
			"metrics.influxdb.interval", "!metrics.influxdbv2", "metrics.influxdb.bucket", "metrics.influxdb.organization"),
		absent(rate, "pprof.memprofilerate", "pprof.blockprofilerate", "pprof.cpuprofile", "go-execution-trace"),
		absent(span, "!rpc.telemetry", "rpc.telemetry.endpoint", "rpc.telemetry.username", "rpc.telemetry.instance-id", "rpc.telemetry.tags", "rpc.telemetry.sample-ratio"),
	)
}

// Words for what several flags make together.
const (
	httpDoor = "with http and its like: rpc.listen"
	wsDoor   = "with ws and its like: rpc.listen, which serves WebSocket too"
	profDoor = "with pprof and its like: metrics.admin"
)

// gethLevel is geth's verbosity as a level.
func gethLevel(text string) string {
	if n, err := strconv.Atoi(text); err == nil {
		return []string{"off", "error", "warn", "info", "debug"}[min(max(n, 0), 4)]
	}
	return text
}

// gethFormat is a form of the log, of which two are text here.
func gethFormat(text string) string {
	if text == "terminal" || text == "logfmt" {
		return "text"
	}
	return text
}

// gethNames is [network.ethereum] with geth's flags in it. bootnodes, nat,
// identity and ethstats are keys of ours by the same name.
func gethNames() flagTable {
	flags := gethFlags()
	return flagTable{
		table: "ethereum", program: "geth", of: "geth's that is known here", flags: flags,
		elsewhere: map[string]string{"bootnodes": "network.seeds"},
		mine: func(name string) bool {
			root, _, _ := strings.Cut(name, ".")
			return slices.Contains([]string{"discovery", "txpool", "http", "ws", "authrpc", "metrics", "eth", "state", "miner"}, root) ||
				slices.ContainsFunc(flags, func(f flagName) bool { return f.name == name })
		},
		join: joinGeth,
	}
}

// joinGeth makes what several flags say together.
func joinGeth(c *Config, _ string, given flagValues, set setFlag, bad badFlag) {
	if port := given["port"]; port != "" {
		set("port", "network.listen", net.JoinHostPort("0.0.0.0", port))
	}
	on := func(flag string) (yes, ok bool) {
		if given[flag] == "" {
			return false, false
		}
		yes, err := strconv.ParseBool(given[flag])
		if err != nil {
			bad(flag, "%s is %.40q, want true or false", flag, given[flag])
		}
		return yes, err == nil
	}
	for _, version := range []string{"v4", "v5"} {
		if flag := given.first("discovery."+version, "disc"+version); flag != "" {
			if yes, ok := on(flag); ok {
				set(flag, "network.ethereum.no_disc"+version, strconv.FormatBool(!yes))
			}
		}
	}
	if yes, _ := on("log.json"); yes {
		set("log.json", "log_format", "json")
	}
	// A listener of geth's has an address and a port, each with a default: what
	// the config says already, or geth's own.
	place := func(root, key, was, port string) {
		flag := given.first(root+".addr", root+".port", root)
		if host, number, err := net.SplitHostPort(was); err == nil {
			set(flag, key, net.JoinHostPort(given.or(root+".addr", host), given.or(root+".port", number)))
			return
		}
		set(flag, key, net.JoinHostPort(given.or(root+".addr", "127.0.0.1"), given.or(root+".port", port)))
	}
	if given.first("authrpc.addr", "authrpc.port") != "" {
		place("authrpc", "network.ethereum.engine_listen", c.Networks[0].Ethereum.EngineListen, "8551")
	}
	if given.first("metrics.addr", "metrics.port") != "" {
		place("metrics", "metrics.listen", c.Metrics.Listen, "6060")
	}
	for _, door := range []struct{ root, key, was, port string }{
		{"pprof", "metrics.admin", c.Metrics.Admin, "6060"}, {"http", "rpc.listen", c.RPC.Listen, "8545"}, {"ws", "rpc.listen", c.RPC.Listen, "8546"},
	} {
		part := given.first(door.root+".addr", door.root+".port")
		switch yes, _ := on(door.root); {
		case yes && door.root == "ws" && given["http"] == "true":
			// Both are at one address here, which http has named.
			host, port := given.or("http.addr", "127.0.0.1"), given.or("http.port", "8545")
			if given.or("ws.addr", "127.0.0.1") != host || given.or("ws.port", "8546") != port {
				bad("ws", "ws has another address than http, and the two have one here; give ws.addr and ws.port what http has: %s", net.JoinHostPort(host, port))
			}
		case yes:
			place(door.root, door.key, door.was, door.port)
		case part != "":
			bad(part, "%s says where, and %s, which turns it on, is not given; add it", part, door.root)
		}
	}
}
