package swarm

import (
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// sid numbers a session; the core knows sessions only by it.
type sid uint64

// input is an event for the core: everything that changes its state. Inputs
// are plain values, so that a run can be recorded and replayed.
type input interface{ input() }

type (
	// inTick carries the wall clock, at least every tickEvery.
	inTick struct{ Wall time.Time }
	// inOpen offers a session.
	inOpen struct {
		Sid    sid
		Info   peer.Info
		Self   peer.ID
		Claims uint64 // head number
	}
	inClosed struct {
		Sid      sid
		Reason   peer.Reason
		ByRemote bool
	}
	// inOffended charges the peer of a session, or an identity.
	inOffended struct {
		Sid      sid
		ID       peer.ID // where Sid is 0
		Endpoint wire.Endpoint
		Offense  peer.Offense
		Severity peer.Severity
		Detail   string
	}
	inFound struct {
		Source wire.Source
		From   peer.ID
		Peers  []wire.FoundPeer
	}
	inLost    struct{ ID peer.ID }
	inRefused struct {
		Link   wire.Link
		Reason peer.Reason
		Remote bool
		Detail string
	}
	inClaimed struct {
		Sid  sid
		Head uint64
	}
	inTopic struct {
		ID     peer.ID
		Topic  string
		Joined bool
	}
	inDropped struct {
		ID    peer.ID
		Queue string
		Count int
	}
	inSkewed struct {
		Sid  sid
		Skew time.Duration
	}
	// inUseful tells what a peer delivered.
	inUseful struct {
		ID   peer.ID
		Note Usefulness
	}
	// inResolved tells which addresses a dial goes to.
	inResolved struct {
		Slot  slot
		Addrs []peer.Addr
	}
	inDialed struct {
		Slot   slot
		OK     bool
		Reason peer.Reason
		Remote bool
		Detail string
	}
	inPong struct {
		Sid sid
		RTT time.Duration
		OK  bool
	}
	inDiscovered struct{ OK bool }
	inSaved      struct {
		Part string
		OK   bool
	}
	// inConnect asks for a dial now; effReply answers Req.
	inConnect struct {
		Req  uint64
		Addr peer.Addr
		Self peer.ID
	}
	inConfigure struct {
		Req  uint64
		List list
		Addr peer.Addr
		Off  bool
	}
	inProtect    struct{ Peers map[peer.ID]bool }
	inDisconnect struct {
		Req    uint64
		ID     peer.ID
		Reason peer.Reason
	}
	inBan struct {
		Req    uint64
		Target Target
		For    time.Duration
		Reason string
		Force  bool
		Self   peer.ID
	}
	inUnban struct {
		Req    uint64
		Target Target
	}
	// inStop ends the work; with Save, when every worker has ended, it saves.
	inStop struct{ Save bool }
)

func (inTick) input()       {}
func (inOpen) input()       {}
func (inClosed) input()     {}
func (inOffended) input()   {}
func (inFound) input()      {}
func (inLost) input()       {}
func (inRefused) input()    {}
func (inClaimed) input()    {}
func (inTopic) input()      {}
func (inDropped) input()    {}
func (inSkewed) input()     {}
func (inUseful) input()     {}
func (inResolved) input()   {}
func (inDialed) input()     {}
func (inPong) input()       {}
func (inDiscovered) input() {}
func (inSaved) input()      {}
func (inConnect) input()    {}
func (inConfigure) input()  {}
func (inProtect) input()    {}
func (inDisconnect) input() {}
func (inBan) input()        {}
func (inUnban) input()      {}
func (inStop) input()       {}

// list names a list of configured addresses.
type list uint8

const (
	listStatic list = iota
	listTrusted
	listSeeds
)

// effect is what the shell is to do, in order.
type effect interface{ effect() }

type (
	// effDial starts a dial; its inDialed gives the slot back. Resolve: the
	// address may hold a name.
	effDial struct {
		Slot    slot
		Addr    peer.Addr
		Resolve bool
	}
	// effAnswer answers an inOpen.
	effAnswer struct {
		Sid    sid
		Reason peer.Reason
		Detail string
	}
	// effClose ends a session that the table has let go.
	effClose struct {
		Sid    sid
		Reason peer.Reason
	}
	// effReply answers a request of the embedder; a nil Err is success.
	effReply struct {
		Req uint64
		Err error
	}
	effDiscover struct{}
	effPing     struct{ Sid sid }
	// effSave writes one part; the bytes are built by the effect's maker.
	effSave struct {
		Part string
		Data []byte
	}
	// effEmit hands an event to the node. Sid is the session that Opened or
	// Closed speaks of; the shell fills it in.
	effEmit struct {
		Event Event
		Sid   sid
	}
	// effNote records a decision.
	effNote struct{ Decision Decision }
)

func (effDial) effect()     {}
func (effAnswer) effect()   {}
func (effClose) effect()    {}
func (effReply) effect()    {}
func (effDiscover) effect() {}
func (effPing) effect()     {}
func (effSave) effect()     {}
func (effEmit) effect()     {}
func (effNote) effect()     {}
