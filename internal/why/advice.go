package why

import (
	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/peer"
)

// advice is what something means and what helps. The second pair is for where
// the other side decided; it is empty where only we can.
type advice struct {
	cause, remedy  string
	theirs, theirR string
}

// reasons is the one table of what the reasons mean.
func reasons() map[peer.Reason]advice {
	return map[peer.Reason]advice{
		peer.Banned: {
			"we banned it", `wait until the ban ends, or lift it with "starling unban PEER"`,
			"it banned us", "nothing on this side lifts it: ask its operator to unban this node, and look under COUNTS and in the log for what this node did before; a ban by score ends by itself after 1 h, 4 h or 24 h",
		},
		peer.PrefixBanned: {
			"we banned its range of addresses", `wait until the ban ends, or lift it with "starling unban PREFIX"`,
			"it banned our range of addresses", "another node near ours misbehaved: ask its operator, or use another public address",
		},
		peer.LowScore: {
			"its score with us is below min_score", `its faults fade by half in ten minutes; "starling why PEER" lists them, and "starling unban PEER" forgets them`,
			"our score with it is below its least one", "our faults fade by half in ten minutes; check that this node's version, chain and clock are right",
		},
		peer.NetRestricted: {
			"net_restrict does not let us near its address", "add its range to network.net_restrict, or take net_restrict out of the config",
			"its net_restrict does not let us in", "ask its operator to add our address to its net_restrict",
		},
		peer.AddrUnwanted: {
			"its address is private, loopback or of a port that is no peer's", "set network.allow_private if these are your own networks; otherwise the peer has to advertise its public address",
			"our address is one that it does not take", "set network.advertise to the address under which others reach this node",
		},
		peer.TooManyPeers: {
			"we are full: no free session slot", "raise network.max_peers, or make the peer static or trusted",
			"it is full: no free session slot there", "add more seeds, or ask its operator to raise max_peers or to trust this node",
		},
		peer.TooManyInbound: {
			"we are full: no free inbound slot", "raise network.max_inbound or network.max_peers, or make the peer static or trusted",
			"it is full: no free inbound slot there", "add more seeds, or ask its operator to raise max_inbound or to trust this node",
		},
		peer.TooManyFromAddr: {
			"too many sessions of its IP address", "run fewer nodes behind one address, or make them static or trusted",
			"too many sessions of our IP address there", "run fewer nodes behind one address, or ask its operator to trust this node",
		},
		peer.TooManyInPrefix: {
			"too many sessions of its range of addresses", "nodes of one network range count together: make those that matter static or trusted",
			"too many sessions of our range of addresses there", "ask its operator to trust this node, or find other peers",
		},
		peer.HandshakeRate: {
			"its address opens links too fast", "wait a minute; a node that restarts all the time causes this",
			"we opened links to it too fast", "wait a minute; if this node restarts all the time, find out why",
		},
		peer.HandshakesFull: {
			"too many handshakes were under way", "it passes by itself; if it does not, somebody floods this node: see which addresses, and keep them out with a firewall",
			"too many handshakes were under way there", "it passes by itself: the node tries again",
		},
		peer.ListeningOff: {
			"this node takes no inbound sessions", "take network.no_listen out of the config",
			"it takes no inbound sessions", "it has to dial us: give it our address",
		},
		peer.DiallingOff: {
			"this node dials nobody", "take network.no_dial out of the config, or have others dial this node",
			"it dials nobody", "nothing: it cannot have dialled us",
		},
		peer.Stopping: {
			"this node was shutting down", "nothing, if that was meant",
			"it was shutting down", "nothing: it is dialled again by and by",
		},
		peer.Self: {
			"the address is this node's own", "take our own address out of static, trusted and seeds",
			"it says that we are itself", "two nodes run with the same key: give each its own",
		},
		peer.Duplicate: {
			"there is a session with it by another link", "nothing: one link is enough",
			"it has a session with us by another link", "nothing: one link is enough",
		},
		peer.AlreadyDialling: {
			"it is being dialled just now", "wait for that dial",
			"it dials us just now", "wait for that dial",
		},
		peer.BackOff: {
			"it was dialled too recently", `wait: the pause doubles with each failure, up to a minute for a proven address; "starling connect ADDR" dials at once`,
			"it wants us to wait", "wait: the node tries again",
		},
		peer.WrongNetwork: {
			cause: "it is of another network", remedy: "compare network.name and the chain's parameters in both configs; for this network take addresses of its nodes only",
		},
		peer.WrongGenesis: {
			cause: "its genesis block is not ours", remedy: `compare the genesis that "starling status" prints at both nodes: one was made with other chain parameters; make this node's datadir anew from the network's own config`,
		},
		peer.WrongIdentity: {
			"another peer answered at that address", `take the address with the identity that the node has now ("starling id" prints it there): it was made anew, or another node took its place`,
			"it expected somebody else at our address", "somebody gives our address with another identity: spread the one that \"starling id\" prints",
		},
		peer.KeyType: {
			"its identity key is of a kind that we do not take", "it needs an ed25519 or secp256k1 key; RSA and ECDSA keys are refused",
			"our identity key is of a kind that it does not take", `make a key of a kind that both take, with "starling key new"`,
		},
		peer.NoCommonProto: {
			"we have no protocol in common", "it is of another software, or of too old or too new a version: compare \"starling version\" at both nodes",
			"we have no protocol in common, it says", "compare \"starling version\" at both nodes",
		},
		peer.HandshakeFailed: {
			"the handshake failed", "something answers there that is no node of this wire, or the line garbles what is sent: try \"starling probe ADDR\"",
			"the handshake failed, it says", "compare \"starling version\" at both nodes; try \"starling probe ADDR\"",
		},
		peer.HandshakeSlow: {
			"the handshake took too long", "the peer or the line is overloaded, or a firewall lets a connection through and drops what follows",
			"our side of the handshake took too long", "this machine or its line is overloaded",
		},
		peer.DialFailed: {
			"nothing listens at that address, or it cannot be reached", "check that the node runs there, that its port is right, and that no firewall refuses it",
			"it could not be reached", "check that the node runs there",
		},
		peer.DialTimeout: {
			"nothing answers at that address", "a firewall or a NAT swallows what is sent, or the address is an old or a private one: check address and port forwarding on its side, and this machine's own way out",
			"it did not answer", "check that the node runs there",
		},
		peer.BadAddr: {
			"the address makes no sense on this wire", `correct it: "starling id" prints addresses at the other node`,
			"our address makes no sense to it", "correct network.advertise",
		},
		peer.NameUnresolved: {
			"DNS gives no address for the name", "check the name for errors and this machine's DNS (resolv.conf); an address with an IP in it needs no DNS",
			"DNS gave it no address for our name", "check the DNS entry of the name in network.advertise",
		},
		peer.BadScore: {
			"its faults added up to a disconnect", `"starling why PEER" lists its faults; they fade by half in ten minutes`,
			"our faults, in its eyes, added up to a disconnect", "it charged this node with faults: check that this node's version, chain and clock are right, and ask its operator what it logged",
		},
		peer.Useless: {
			"it was let go for a more useful peer", "nothing; raise network.max_peers to keep more",
			"it let us go for a more useful peer", "nothing: other peers are found",
		},
		peer.Idle: {
			"it did not answer the keep-alive", "its machine or the line between is down or overloaded: it is dialled again",
			"we did not answer its keep-alive", "this machine or its line was down, asleep or overloaded",
		},
		peer.Slow: {
			"it does not read what we send", "its machine or its line is too slow for this network",
			"we do not read what it sends", "this machine or its line is too slow: look at its load and at the disk",
		},
		peer.LinkLost: {
			"the link ended without a word", "the other process was killed, or the line broke: it is dialled again",
			"the link ended without a word", "the other process was killed, or the line broke: it is dialled again",
		},
		peer.Requested: {
			"the operator asked for it", "nothing, if that was meant",
			"its operator asked for it", "ask that operator",
		},
		peer.Auxiliary: {
			"a link for looking around only, which came to an end", "nothing: discovery opens and closes them",
			"it was a link for looking around only", "nothing",
		},
		peer.ByRemote: {
			"the other side closed without saying why", "look into its log, or ask its operator",
			"the other side closed without saying why", "look into its log, or ask its operator; a node that bans or restricts this one on the level of the link says no more",
		},
		peer.Internal: {
			"a fault of ours", "report it, with the log of that time and a recording (\"starling debug record\")",
			"a fault of its own", "nothing on this side: it is dialled again",
		},
	}
}

// adviceOn is what a reason means.
func adviceOn(r peer.Reason, byRemote bool) (cause, remedy string) {
	a, ok := reasons()[r]
	switch {
	case !ok:
		return "for the reason " + peer.Clean(string(r)), "look into the log of that time"
	case byRemote && a.theirs != "":
		return a.theirs, a.theirR
	}
	return a.cause, a.remedy
}

// adviceOnDial is adviceOn for a dial that came to nothing. Whoever closes on a
// stranger before a word says less than whoever ends a session.
func adviceOnDial(r peer.Reason, byRemote bool) (cause, remedy string) {
	if r == peer.ByRemote {
		return "it closes on us before a session is open: it may be full, keep to some ranges of addresses, or have banned this one",
			`ask its operator, or dial others: add more seeds; "starling probe ADDR" from another address tells whether it is about this one`
	}
	return adviceOn(r, byRemote)
}

// offenses is what a fault of a peer means.
func offenses() map[peer.Offense]advice {
	const broken = "it is broken, too old, or hostile: nothing is to be done here; tell its operator if you know them"
	const overloaded = "its machine or the line between is overloaded: nothing is to be done here"
	one := func(cause, remedy string) advice { return advice{cause: cause, remedy: remedy} }
	return map[peer.Offense]advice{
		peer.BadFrame:        one("sent a frame that cannot be", broken),
		peer.TruncatedFrame:  one("ended in the middle of a frame", overloaded),
		peer.BadEncoding:     one("sent what does not decode", broken),
		peer.Bomb:            one("sent what unpacks past its bound", broken),
		peer.UnknownMessage:  one("sent a kind of message that nobody offered", broken),
		peer.BrokeHandler:    one("sent what made a check of ours panic", "report it, with the log of that time: the fault is in the chain or the application"),
		peer.InvalidGossip:   one("relayed what fails a check that every relay makes", "if many peers are charged with it, the fault is here: check this node's version, chain parameters and clock"),
		peer.DeadGossip:      one("sent far too much that was stale", "if many peers are charged with it, check this machine's clock"),
		peer.WrongBlock:      one("answered with another block than was asked for", broken),
		peer.ShortAnswer:     one("answered with a gap, or with less than it has", broken),
		peer.EmptyAnswer:     one("gave nothing of a range that it claims to have", broken),
		peer.UnorderedAnswer: one("answered out of order", broken),
		peer.UnlinkedAnswer:  one("answered with blocks that do not link", broken),
		peer.InvalidBlock:    one("gave a block that breaks a rule of the chain", "if many peers are charged with it, this node's chain parameters or version differ from theirs"),
		peer.FalseHead:       one("claimed a head and never delivered it", broken),
		peer.Unasked:         one("answered what nobody had asked", broken),
		peer.RequestFlood:    one("went on asking after it was told to wait", "it asks for more than it is served: raise network.limits if it is yours"),
		peer.StreamFlood:     one("opened more streams than the protocol allows", broken),
		peer.PingFlood:       one("pings too often", broken),
		peer.SubscribeFlood:  one("subscribed to too many topics", broken),
		peer.GraftFlood:      one("pressed into a gossip mesh that it was put out of, or promised messages and did not send them", broken),
		peer.ProtocolFlood:   one("claims to speak far too many protocols", broken),
		peer.NotReading:      one("does not read what we send", overloaded),
		peer.SlowFrame:       one("took too long for a frame", overloaded),
		peer.NoAnswer:        one("left three requests in a row unanswered", overloaded),
		peer.AddressFlood:    one("told far too many addresses", broken),
		peer.AnnounceFlood:   one("announced far too many transactions", broken),
		peer.FalseAnnounce:   one("announced what it then did not have, or had otherwise", broken),
	}
}

// stalls is why a sync makes no progress.
func stalls() map[blocksync.Cause]advice {
	one := func(cause, remedy string) advice { return advice{cause: cause, remedy: remedy} }
	return map[blocksync.Cause]advice{
		blocksync.CauseDiskFull:      one("the disk is full: no block can be stored", "make room on the disk of the datadir; the node goes on by itself, and serves what it has meanwhile"),
		blocksync.CauseCorrupt:       one("what is stored of the chain is damaged", "stop the node, check the disk, and sync into a new datadir; keep keys/ and config.toml"),
		blocksync.CauseTrouble:       one("the chain's storage fails", "look into the log for the error, and check the disk, its mount and its permissions"),
		blocksync.CauseNoPeers:       one("there is nobody to sync from: no session is open", "see why there are no peers"),
		blocksync.CauseFewPeers:      one("the sync begins with more peers than there are", "wait for more sessions, or add peers; on an Ontology network network.ontology.sync_peers = 1 begins with one"),
		blocksync.CauseDisk:          one("a read of the disk does not end", "the disk is too slow or fails: look at its load and at the kernel's log"),
		blocksync.CauseImport:        one("the chain takes long to import a block", "the disk or the machine is too slow: look at its load; more memory and a faster disk help"),
		blocksync.CauseVerify:        one("verification takes long", "the machine is too slow: look at its load"),
		blocksync.CauseAnswers:       one("peers were asked for blocks and have not delivered them yet", "wait a minute: those that do not deliver are left out in turn; if it stays, add more peers"),
		blocksync.CauseSilent:        one("peers claim to have blocks and do not deliver them", "add peers that deliver (network.static, network.seeds); those that stay silent are charged and let go by themselves"),
		blocksync.CauseRefusing:      one("peers refuse to serve for now", "they limit what they serve: wait, or add more peers"),
		blocksync.CauseLacking:       one("no peer has the block that is missing", "the peers' history begins later, or their chain ends before it: add a peer that has the whole chain, and check network.target"),
		blocksync.CauseOtherBranch:   one("every peer that was asked is on another branch, or gave wrong blocks", "this node or its peers follow a wrong fork: compare heads with a source that you trust, and set network.target to a block of the right branch"),
		blocksync.CauseNobodyToAsk:   one("no peer can be asked for what is missing", "no peer claims more than this node has: check network.target, and add peers that are further"),
		blocksync.CauseMissingParent: one("no peer gives what leads to a block that came, or to the target that was set", "wait a minute; if it stays, check network.target, and add peers that have the whole chain"),
		blocksync.CauseWaiting:       one("the sync waits", "wait a minute; if it stays, add more peers"),
	}
}

// publishes is why nobody was told of a message of ours, by the names that
// package eventlog gives the errors.
func publishes() map[string]advice {
	one := func(cause, remedy string) advice { return advice{cause: cause, remedy: remedy} }
	return map[string]advice{
		"expired":     one("nobody was there to hear what this node published, for a whole block interval", "open sessions first (see why there are no peers); peers that come later ask for the blocks, but transactions are lost: send them again"),
		"unheard":     one("nobody was there to hear what this node published", "open sessions first; peers that come later ask for the blocks, but transactions are lost: send them again"),
		"queue-full":  one("more was published than could be sent", "publish more slowly, or look why the line or the peers are slow"),
		"rejected":    one("the chain itself rejects what was to be published", "the block or transaction is invalid or stale: look at the machine's clock, at the signer's key and at the log"),
		"unsupported": one("this wire cannot publish that", "use a wire that gossips it"),
		"too-large":   one("what was to be published is over the protocol's bound", "make smaller blocks or transactions"),
		"closed":      one("the wire had ended", "nothing, if the node was stopped"),
		"not-running": one("the node was not running", "nothing, if the node was stopped"),
		"ended":       one("the node was stopped before it was sent", "nothing, if that was meant; the block is stored, and peers can ask for it"),
		"other":       one("publishing failed", "look into the log of that time"),
	}
}
