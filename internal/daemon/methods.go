package daemon

import (
	"context"
	"encoding/json"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/why"
)

// call is what a method does.
type call = func(ctx context.Context, params json.RawMessage) (any, error)

// read and write make methods that need no authority, and that do. result is
// a value of the type that they give.
func read(name, doc string, f call, result any, params ...starling.Param) starling.Method {
	return starling.Method{Name: name, Doc: doc, Call: f, Result: result, Params: params}
}

func write(name, doc string, f call, result any, params ...starling.Param) starling.Method {
	return starling.Method{Name: name, Doc: doc, Write: true, Call: f, Result: result, Params: params}
}

// param and option describe a parameter that must be there, and one that need not.
func param(name, doc string, typ any) starling.Param {
	return starling.Param{Name: name, Doc: doc, Type: typ}
}

func option(name, doc string, typ any) starling.Param {
	return starling.Param{Name: name, Doc: doc, Type: typ, Optional: true}
}

// asks makes a call of a question that takes no params.
func asks[T any](f func() T) call {
	return func(context.Context, json.RawMessage) (any, error) { return f(), nil }
}

// methods are what the node answers over its socket, without those that
// services bring.
func (n *Node) methods() []starling.Method {
	var all []starling.Method
	for _, part := range [][]starling.Method{n.statusMethods(), n.peerMethods(), n.chainMethods(), n.netMethods(), n.adminMethods(), n.observeMethods()} {
		all = append(all, part...)
	}
	if n.stack.methods != nil {
		all = append(all, n.stack.methods(n)...)
	}
	return all
}

func (n *Node) statusMethods() []starling.Method {
	return []starling.Method{
		read("starling_status", "Where the node stands.", asks(n.Status), StatusReply{}),
		read("starling_caps", "What the node's wire can do, and the protocols that it speaks.", asks(n.caps), CapsReply{}),
		read("starling_why", "What stands in the node's way, or in a peer's, since when, how often, and what to do about it.", n.callWhy, why.Report{},
			option("peer", "an identity or an address; left out: the node itself", "")),
		read("starling_doctor", "What the node sees of its own health from the inside: its limits, its clock, its peers.", n.callDoctor, DoctorReply{}),
		write("starling_config", "The config as it counts: the one that the node was started with, and what a reload took over since. Each value says where it comes from.", asks(n.config), ConfigReply{}),
		write("starling_record", "Writes the node's events into a file in the datadir.", n.callRecord, RecordReply{},
			option("seconds", "for how long; 0: what the node remembers now", 0), option("bytes", "how much at most; 0: 16 MiB", 0)),
		write("starling_recordStop", "Ends the recording under way, and tells what it has come to.", n.callRecordStop, RecordReply{}),
		read("starling_verdicts", "What became of messages since the start, counted by kind, action and reason.", asks(n.verdicts), []VerdictReply{}),
	}
}

func (n *Node) peerMethods() []starling.Method {
	who := param("who", "an identity, an IP address or a prefix of addresses", "")
	return []starling.Method{
		read("starling_peers", "The open sessions.", asks(n.peers), []PeerReply{}),
		read("starling_knownPeers", "Addresses of the book, those that answered once first.", n.callKnown, []KnownReply{},
			option("max", "how many at most, up to 1000; left out: 100", 0)),
		write("starling_connect", "Dials an address now, and waits until a session is open or the attempt has failed.", n.callConnect, true,
			param("address", "of the form that the wire takes", "")),
		write("starling_ping", "Measures the round trip to a peer that has a session.", n.callPing, PingReply{}, param("id", "the peer's identity", "")),
		write("starling_disconnect", "Ends the session with a peer.", n.callDisconnect, true, param("id", "the peer's identity", "")),
		read("starling_bans", "The bans in force.", asks(n.bans), []BanReply{}),
		write("starling_ban", "Keeps a peer, or all addresses of a prefix, away. The node itself and configured peers cannot be banned.", n.callBan, true,
			who, option("seconds", "for how long; 0: by the ladder of 1 h, 4 h and 24 h, an hour for a prefix", 0),
			option("reason", "for whoever reads the list of bans, at most 200 bytes", ""),
			option("force", "also a prefix wider than /16 (IPv6: /32), or one that holds a configured peer", false)),
		write("starling_unban", "Lifts a ban, which is named exactly as it was made.", n.callUnban, true, who),
	}
}

func (n *Node) chainMethods() []starling.Method {
	return []starling.Method{
		read("starling_block", "A block of the chain.", n.callBlock, BlockReply{}, param("number", "the block's", uint64(0))),
		read("starling_transaction", "A transaction in hex; null where it is not known.", n.callTx, (*string)(nil), param("hash", "in hex", "")),
		write("starling_sendTransactions", "Adds transactions to the pool and gossips those that it takes.", n.callSendTxs, []TxReply{},
			param("transactions", "each in hex", []string{})),
		write("starling_target", "Gives the sync a block that is trusted and to be reached.", n.callTarget, true,
			param("target", `as "NUMBER:HASH"`, "")),
		// It changes nothing, but reads the whole ledger: not for everybody.
		write("starling_checkInvariants", "Looks through the whole ledger for contradictions; fails with the first.", func(ctx context.Context, _ json.RawMessage) (any, error) {
			return true, n.stack.checkInvariants(ctx)
		}, true),
	}
}
