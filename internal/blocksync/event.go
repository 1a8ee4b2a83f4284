package blocksync

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Event is something that an operator or an embedder may want to know. The
// set is sealed here; receivers ignore kinds that they do not know.
type Event interface{ event() }

// The events.
type (
	// GapFound: blocks are missing below a block or a target that we trust.
	GapFound struct {
		Target chain.Ref // the highest one missing
		Head   chain.Ref // ours
	}
	// GapClosed: the blocks up to Target are imported.
	GapClosed struct{ Target chain.Ref }
	// Syncing: a forward sync started, went on for another ten seconds, or was found
	// to lead far.
	Syncing struct {
		Master peer.ID // who gives the headers
		Head   chain.Ref
		Goal   uint64  // the number that Master claims
		Rate   float64 // blocks per second, imported
		// First: nothing was reached since the start, so that a Synced before it
		// rested on what was claimed until then.
		First bool
		// Far: verified headers lead so far above Head that gossip cannot bring what
		// is between; that we were in sync was not so.
		Far bool
	}
	// Synced: there is nothing better to fetch, as far as peers claim. Until
	// something was reached, it is not told while a peer's claim is not whole, nor
	// just after a sync that came to nothing, nor where only targets count.
	Synced struct{ Head chain.Ref }
	// Stuck: there is something to fetch and no progress. Sent when the reason
	// changes; an empty Reason says that it is over.
	Stuck struct {
		Cause  Cause
		Reason string
	}
	// Reorg: the head moved to another branch; Depth blocks of the old one
	// were undone.
	Reorg struct {
		Old, New chain.Ref
		Depth    int
	}
	// ReorgRefused: a branch was not taken since it would undo more than the
	// chain allows. The operator must look. It is told again after ten minutes
	// at the earliest, if peers still claim more than we have.
	ReorgRefused struct {
		Fork chain.Ref // the first block of the branch; the claimed head where that is not known
		From peer.ID   // who delivered or claims it
	}
	// TargetRefused: a trusted target cannot be reached, ever: it does not
	// descend from what is final here, or breaks a rule of the chain.
	TargetRefused struct {
		Target chain.Ref
		Reason string
	}
)

func (GapFound) event()      {}
func (GapClosed) event()     {}
func (Syncing) event()       {}
func (Synced) event()        {}
func (Stuck) event()         {}
func (Reorg) event()         {}
func (ReorgRefused) event()  {}
func (TargetRefused) event() {}

// Mode is what the scheduler is doing.
type Mode string

// The modes.
const (
	ModeStarting Mode = "starting" // the chain is being read
	ModeIdle     Mode = "idle"     // no peers
	ModeSynced   Mode = "synced"   // following the tip
	ModeForward  Mode = "forward"
	ModeBackward Mode = "backward"
	ModeBehind   Mode = "behind" // peers claim more, or have not told yet; not fetching, or none delivers
	ModeStuck    Mode = "stuck"  // StuckReason says why
)

// Snapshot is the state of the sync at one moment.
type Snapshot struct {
	Mode        Mode
	Head        chain.Ref
	Finalized   chain.Ref
	Target      chain.Ref // where the active job goes; zero if none, the hash zero if only the number is known
	Master      peer.ID   // of a forward sync
	Peers       int
	InFlight    int    // requests
	BytesHeld   int    // blocks and headers in memory
	BytesAsked  int    // expected in answers under way
	Quarantined int    // offered blocks that wait for their parent
	QueuedGaps  int    // missing parents of those
	Staged      int    // blocks on disk that are not linked to the chain yet
	StagedBytes int64  // what those take
	Fetched     int    // those of them that the present backward sync will import
	Highest     uint64 // the highest head that a peer claims, unproven
	Outdone     bool   // a peer claims more than we have, unproven
	Imported    uint64 // blocks since start
	Rate        float64
	StuckReason string
	StuckCause  Cause
	Drops       Drops
	Taken       time.Time
}

// Drops counts what was let go, by reason.
type Drops struct {
	OfferQueue uint64 // offered faster than the owner took them
	Quarantine uint64 // furthest ahead, over the bound of the quarantine
	Duplicate  uint64 // offered again
	Stale      uint64 // offered at or below what is final, or known to be bad
	OverBudget uint64 // answers that came while memory was full
	Stage      uint64 // bodies that came while the stage was full
	Late       uint64 // answers after their deadline, or of a job that ended
	Events     uint64 // events that nobody read in time
}
