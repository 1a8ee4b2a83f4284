package daemon

import (
	"slices"
	"strings"
)

// absent are flags that are refused for one reason. One with a mark of
// exclamation takes no value.
func absent(why string, names ...string) (out []flagName) {
	for _, name := range names {
		name, bare := strings.CutPrefix(name, "!")
		out = append(out, flagName{name: name, bare: bare, why: why})
	}
	return out
}

// gethAbsentFlags are those of what is not here: a state and its execution, a
// miner, accounts, the console and geth's other commands.
func gethAbsentFlags() []flagName {
	return slices.Concat(
		absent("nothing is executed and no state is kept; leave it out",
			"cache", "cache.database", "cache.trie", "cache.gc", "cache.snapshot", "!cache.noprefetch", "!cache.noprecompile", "!cache.preimages", "cache.blocklogs",
			"gcmode", "!snapshot", "!snap.v2", "state.scheme", "!state.size-tracking", "bintrie.groupdepth", "bloomfilter.size",
			"history.state", "history.trienode", "history.trienode.full-value-checkpoint", "debug.logslowblock",
			"!vmdebug", "vmtrace", "vmtrace.jsonconfig", "!vmwitnessstats", "!stateless-self-validation",
			"gpo.blocks", "gpo.percentile", "gpo.maxprice", "gpo.ignoreprice",
			"rpc.gascap", "rpc.evmtimeout", "rpc.txfeecap", "rpc.txsync.defaulttimeout", "rpc.txsync.maxtimeout", "!rpc.allow-unprotected-txs"),
		absent("logs and transactions are not indexed; leave it out",
			"history.transactions", "history.logs", "!history.logs.disable", "history.logs.export", "rpc.logquerylimit", "rpc.rangelimit"),
		absent("headers and bodies are kept from the first that was fetched; leave it out", "history.chain", "era.format", "datadir.era"),
		absent("there is one store, Pebble, in the datadir; leave it out",
			"remotedb", "db.engine", "datadir.ancient", "!nocompaction"),
		absent("\"starling doctor\" and the log say when a disk gets full; leave it out", "datadir.minfreedisk"),
		absent("the fork schedule is the genesis file's: change it there, and name the file in network.ethereum.genesis",
			"override.osaka", "override.amsterdam", "override.bpo1", "override.bpo2", "override.ubt"),
		absent("a consensus client says what is to be followed, over network.ethereum.engine_listen",
			"beacon.api", "beacon.api.header", "beacon.threshold", "!beacon.nofilter", "beacon.config", "beacon.genesis.gvroot", "beacon.genesis.time",
			"beacon.checkpoint", "beacon.checkpoint.file", "blsync.engine.api", "blsync.jwtsecret"),
		absent("what is imported is decided by the trusted block and the fork choice that a consensus client names; leave it out", "engine.maxreorgdepth"),
		absent("\"starling dev\" is a network on this machine; a private one is a genesis file and network.ethereum.signer_key",
			"!dev", "dev.period", "dev.gaslimit"),
		absent("a private clique network is sealed with network.ethereum.signer_key; else no block is made",
			"!mine", "miner.gaslimit", "miner.gasprice", "miner.extradata", "miner.recommit", "miner.pending.feeRecipient", "miner.maxblobs"),
		absent("a clique signer's key is network.ethereum.signer_key", "miner.etherbase"),
		absent("no accounts are kept; a clique signer's key is network.ethereum.signer_key",
			"unlock", "password", "keystore", "!usb", "pcscdpath", "signer", "!lightkdf"),
		absent("the node follows the chain until it is stopped; \"starling status --json\" says how far it is", "!exitwhensynced"),
		absent("the system's limits hold: LimitNOFILE, and GOMEMLIMIT and GOGC of the environment", "fdlimit", "memorylimit", "gogc"),
		absent("blobs are verified by go-ethereum's kzg4844 as it is; leave it out", "crypto.kzg"),
		absent("there is no GraphQL; JSON-RPC is at [rpc] listen", "!graphql", "graphql.corsdomain", "graphql.vhosts"),
		absent("the console is geth's: \"geth attach\" speaks to the socket in the datadir", "exec", "preload", "jspath", "header"),
		absent("it is a flag of another command of geth's, not of the one that runs a node",
			"!iterative", "!nostorage", "!incompletes", "!nocode", "start", "limit", "account", "output"),
	)
}
