package wire

import (
	"context"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Errors that callers branch on. Wires wrap them.
var (
	// ErrUnsupported: the wire has no such message or request; Caps says so beforehand.
	ErrUnsupported = errors.New("wire: not supported by this wire")
	// ErrClosed: the session, or the wire, has ended.
	ErrClosed = errors.New("wire: closed")
	// ErrQueueFull: the lane took no more before its bound; nothing was sent.
	ErrQueueFull = errors.New("wire: send queue is full")
	// ErrUnheard: no peer is there to hear what was to be published. Nothing was
	// sent, and the same message may be published again.
	ErrUnheard = errors.New("wire: nobody is there to hear it")
	// ErrOurs: a request came to nothing for want of memory, or of a place in a
	// queue, of ours. It says nothing of the peer; errors of wires wrap it.
	ErrOurs = errors.New("wire: trouble of our own")
	// ErrTooLarge: what was to be sent, or was announced, is over the protocol's bound.
	ErrTooLarge = errors.New("wire: too large")
)

// Wire is a protocol suite. One value serves one node. All methods are safe
// for concurrent use.
type Wire interface {
	// Caps is constant.
	Caps() Caps
	// ParseAddr reads an address that a person or a file gave. It does not
	// block and resolves no names.
	ParseAddr(s string) (peer.Addr, error)
	// Run listens and serves until ctx ends, then tells each peer "quitting"
	// where the protocol can, closes everything and returns with nothing left
	// behind. Of the 5 s in which a node stops the wire has what the services
	// leave: 4.5 s as a rule, 1.5 s at least. One that takes longer is named in
	// the error of the node's Run. An error before it is listening (a port in use, a bad
	// key file) is returned at once. It is called once.
	Run(ctx context.Context, h Host) error
	// Dial makes one attempt and blocks until the session was opened with the
	// Host or the attempt failed; it never retries. Failures carry a
	// *peer.RefusedError. It fails with ErrClosed while Run is not listening.
	Dial(ctx context.Context, a peer.Addr) error
	// Addrs is where the wire can be reached, as far as it knows; empty until
	// Run is listening. Never blocks.
	Addrs() []peer.Addr
}

// Role interfaces of a Wire, and some of a Session. The node looks for them.
type (
	// Readier is a role of a Wire: Ready is closed once Run is listening.
	Readier interface{ Ready() <-chan struct{} }

	// Publisher is a role of a Wire whose gossip runs over topics. Publish
	// blocks until the message is queued for the mesh peers, or ctx ends; it
	// never waits for delivery, nor for peers to appear: without any it fails
	// with ErrUnheard.
	Publisher interface {
		Publish(ctx context.Context, m Message) (Receipt, error)
	}

	// Resolver is a role of a Wire whose addresses can hold names. Resolve asks
	// DNS and gives addresses without names. It blocks until ctx ends.
	Resolver interface {
		Resolve(ctx context.Context, a peer.Addr) ([]peer.Addr, error)
	}

	// Locator is a role of a Wire that can read IP address, port and identity
	// out of an address. False where there is no IP address in it; the identity
	// may be given all the same. Pure.
	Locator interface {
		Locate(a peer.Addr) (Endpoint, peer.ID, bool)
	}

	// Pinger is a role of a Session: Ping measures a round trip. It blocks
	// until the answer, an error, or the end of ctx.
	Pinger interface {
		Ping(ctx context.Context) (time.Duration, error)
	}

	// Batcher is a role of a Session whose peer takes requests of another size
	// than Caps says: a better server than the wire's protocol asks for. Batch
	// is constant and never blocks.
	Batcher interface{ Batch() Batch }

	// Grader is a role of a Session that keeps a score of answers by itself.
	// Rejected tells that one which Request gave turned out to be wrong. It never
	// blocks.
	Grader interface{ Rejected() }

	// Identified is a role of a Wire with an identity of its own. Self never
	// blocks; the ID is empty until Run is listening.
	Identified interface{ Self() peer.ID }

	// Discoverer is a role of a Wire that looks for peers by itself. Discover
	// starts one round and blocks until it ends; what it finds is reported as
	// Found. The node paces the rounds.
	Discoverer interface {
		Discover(ctx context.Context) error
	}

	// Metered is a role of a Wire that counts its messages. Traffic is a copy of
	// what was counted since the wire was made; it never blocks.
	Metered interface {
		Traffic() map[TrafficKey]Traffic
	}

	// Judging is a role of a Wire that judges messages of gossip by itself before
	// it asks the Host. Judged is a copy of what it counted of those since it was
	// made; it never blocks.
	Judging interface {
		Judged() map[JudgedKey]uint64
	}

	// Meshed is a role of a Wire whose gossip has meshes. Meshes tells how many
	// peers ours have, by a fixed short name of the topic; it never blocks.
	Meshed interface {
		Meshes() map[string]int
	}

	// Reserver is a role of a Wire that has places kept for peers that speak
	// something. Places is constant and never blocks.
	Reserver interface{ Places() []Places }

	// Topical is a role of a Wire with application topics. Join and Leave may
	// block shortly.
	Topical interface {
		JoinTopic(ctx context.Context, name string) error
		LeaveTopic(ctx context.Context, name string) error
	}
)

// Places are sessions that are kept, of the most that there may be, for peers
// whose Info.Protocols name a capability: others do not take them.
type Places struct {
	Capability string // as the protocol is called, "snap", or with its version, "snap/1"
	Count      int
}

// JudgedKey says which verdicts are counted together. Message and Reason are
// fixed texts of the wire.
type JudgedKey struct {
	Message string // as Host.Check names it: "block"
	Action  chain.Action
	Reason  string
}

// TrafficKey says which messages are counted together. Protocol and Type are
// fixed texts of the wire, of which there are few, and never come from a peer.
type TrafficKey struct {
	Protocol, Type string // "gossip", "block"
	Inbound        bool
}

// Traffic counts messages and the bytes that they took on their stream, as far
// as the wire sees them.
type Traffic struct{ Messages, Bytes uint64 }

// Receipt says what became of a message at the moment it was published. It
// promises no delivery.
type Receipt struct {
	MeshPeers int // peers that the message could go to at once
	Queued    int // copies that were queued
	Dropped   int // copies that found a full queue
}

// Session is our relation to one peer, from handshake to close. All methods
// are safe for concurrent use. Sessions are compared and are keys of maps: the
// dynamic type is comparable, a pointer in practice, and no two sessions are
// equal.
type Session interface {
	// Peer is a snapshot. Never blocks.
	Peer() peer.Info
	// Send queues a message on a lane and follows that lane's policy when it is
	// full: consensus waits briefly and then errs, sync waits for ctx, tx drops
	// the oldest, status coalesces. ErrUnsupported where the wire has no such
	// message. A nil error means queued, not delivered.
	Send(ctx context.Context, l Lane, m Message) error
	// Request asks and blocks for the answer, until ctx or the protocol's own
	// deadline ends. The remote's faults come back as *Fault, its refusals as
	// *Refusal.
	Request(ctx context.Context, r Request) (Response, error)
	// Close ends the session, telling the peer the reason where the protocol
	// can. It never blocks and may be called again; the first reason counts.
	Close(why peer.Reason)
	// Done is closed when the session has ended.
	Done() <-chan struct{}
}

// Host is the node as a wire sees it. All methods are safe from any goroutine.
type Host interface {
	// Admit decides about a link from a snapshot; it never blocks. The wire
	// asks before the handshake, and again once the identity is known.
	Admit(l Link) peer.Reason
	// Open offers a session whose handshakes have passed, with what the peer
	// claims. On error the wire closes it with the reason in the
	// *peer.RefusedError. It blocks for the owner's decision.
	Open(ctx context.Context, s Session, claims chain.Status) error
	// Report tells what happened. It never blocks; what does not fit its
	// bounded queue is dropped and counted, but a Closed never is.
	Report(r Report)
	// Check judges a message of gossip, or a consensus message. It may block
	// for a place in the validation pool and for the check itself. It charges
	// the deliverer of what it rejects and takes in what it accepts: the wire
	// only passes the verdict on to its gossip.
	Check(ctx context.Context, s Session, m Message) chain.Verdict
	// Serve answers a request of a peer within the node's budgets, or fails
	// with a *Refusal that names the limit.
	Serve(ctx context.Context, s Session, r Request) (Response, error)
}

// Scorer is a role of a Host: the score of a peer, from -100 to 100, out of a
// snapshot. It never blocks. A wire whose gossip keeps scores asks it.
type Scorer interface {
	Score(id peer.ID) float64
}

// Turner is a role of a Host: it has those work in turn who work on what is
// large, from 32 KiB on, so that a processor is left for what is small. The
// wire takes a turn to put an answer together, to encrypt or to hash it; not for
// consensus and blocks.
type Turner interface {
	// Turn blocks until the work is done. The work only computes: it waits for
	// nobody, and takes no turn itself.
	Turn(work func())
}

// Link is a connection that is not yet, or never becomes, a session.
type Link struct {
	Direction peer.Direction
	Addr      peer.Addr // the remote end
	Endpoint  Endpoint
	ID        peer.ID // empty before the handshake
	// Asked marks an outbound link of a Dial that the node asked for. Others
	// are auxiliary: opened by discovery on its own account.
	Asked bool
}

// Caps says what a wire can do. It is constant.
type Caps struct {
	Name           string // "native", "opstack", "devp2p", "ontology"
	ProvenIdentity bool   // the handshake proves who the peer is
	Gossip         GossipKind
	Skeleton       bool // headers can be asked for apart from bodies
	BodiesApart    bool // bodies can be asked for by hash, without headers
	Receipts       bool
	ByNumber       bool // ranges can start at a number
	ByHash         bool // ranges and blocks can be asked for by hash
	MaxBatch       Batch
	MaxInFlight    int  // requests under way with one peer
	AnswersInOrder bool // answers come in the order of the requests
	BodiesLeftOut  bool // an answer with bodies may leave out any that the peer lacks, without fault
	SilentRefusal  bool // a peer may leave a request unanswered without fault
	// Patience is how long a peer may hold an answer back without fault; 0: no
	// longer than whoever asks cares to wait.
	Patience      time.Duration
	TellsSent     bool // a Request tells when it has left: OnSent
	ConsensusLink bool // consensus has a link of its own
	// Of wires that gossip by session: transactions can be announced by hash;
	// there are messages for a block in full, and for its name.
	TxAnnounce, BlockPush, BlockAnnounce bool
	// OnlyAnnounced is a kind of transactions that are never sent unasked; 0: none.
	OnlyAnnounced byte
	Goodbye       bool // a close can carry its reason to the other side
	Duplicate     Duplicate
	// RequestTimeout is the longest that a question and its answer take. A Request
	// that asks on for what did not fit one answer takes as long for each; its
	// caller's context bounds it.
	RequestTimeout time.Duration
	// MinRedial is the shortest pause between two dials of one address, where
	// peers throttle whoever comes again sooner; 0: none.
	MinRedial time.Duration
	// TrustedCall says that a trusted peer is let in over every limit when it calls
	// or is met, and not dialled because it is trusted; false: it is dialled as a
	// static one.
	TrustedCall bool
}

// Batch is how much one request may ask for; 0 where the wire has no such request.
type Batch struct {
	Headers, Bodies, Blocks, Txs int
	Bytes                        int // of one answer
}

// GossipKind is how blocks and transactions spread on a wire.
type GossipKind uint8

// GossipTopics: the wire is a Publisher. GossipSessions: the node pushes and
// announces over sessions.
const (
	GossipNone GossipKind = iota
	GossipTopics
	GossipSessions
)

// Duplicate is the rule for two links to one peer.
type Duplicate uint8

// The rules. LowerDialled keeps the link that the peer with the lower ID
// dialled, FirstFinished the one whose handshake ended first, PerAddress
// refuses the newcomer unless it comes from the same address.
const (
	LowerDialled Duplicate = iota
	FirstFinished
	PerAddress
)

// Lane is a priority class. The high lane is served first, with a burst cap so
// that low lanes move.
type Lane uint8

// The lanes, highest first.
const (
	LaneConsensus Lane = iota
	LaneBlock
	LaneTx
	LaneSync
	LaneHousekeeping
	NumLanes
)

// String is the lane's name.
func (l Lane) String() string {
	switch l {
	case LaneConsensus:
		return "consensus"
	case LaneBlock:
		return "block"
	case LaneTx:
		return "tx"
	case LaneSync:
		return "sync"
	case LaneHousekeeping:
		return "housekeeping"
	}
	return "unknown"
}
