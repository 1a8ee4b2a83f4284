package blocksync

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Input is what the core is told. The set is sealed.
type Input interface{ input() }

// The inputs. IDs are those of the effect that is answered.
type (
	// Ready: the chain was read. Nothing is asked of anybody before.
	Ready struct {
		Status chain.Status
		Head   chain.Header
		Staged []chain.Header // ascending
		// StagedSize is the bytes of a staged block, on average.
		StagedSize int64
	}
	// Joined: a session is open. A peer that is there already starts anew.
	Joined struct {
		Peer   peer.ID
		Claims chain.Status
		Batch  wire.Batch // what it takes in one request; zero: as Caps says
	}
	// Left: a session has ended.
	Left struct{ Peer peer.ID }
	// Claims: a peer's account of its chain has changed.
	Claims struct {
		Peer   peer.ID
		Status chain.Status
	}
	// Announced: a peer says that it has a block.
	Announced struct {
		Peer   peer.ID
		Ref    chain.Ref
		Weight chain.Weight
	}
	// Offered: a block came by gossip and was accepted by Check.
	Offered struct {
		From  peer.ID
		Block chain.Block
	}
	// Targeted: a block is trusted and wanted.
	Targeted struct{ Ref chain.Ref }
	// Sent: a request left us, where the wire tells (wire.OnSent). What passed
	// before is not the peer's silence.
	Sent struct {
		ID uint64
		At time.Time
	}
	// Answered: a request ended. Exactly one of Response and Err is set.
	Answered struct {
		ID       uint64
		Response wire.Response
		Err      error
	}
	// Looked answers Lookup: what was found, in the order asked; nil where
	// there is none. Err is our own trouble.
	Looked struct {
		ID    uint64
		Found []*chain.Header
		Err   error
	}
	// VerifiedHeaders answers VerifyHeaders.
	VerifiedHeaders struct {
		ID     uint64
		First  int          // Headers[First:First+N] are verified
		N      int          //
		Linked bool         // Base is imported
		Base   chain.Header // the parent of Headers[First], if Linked
		Err    error        // about Headers[First+N]
	}
	// VerifiedBodies answers VerifyBodies, an error or nil for each block.
	VerifiedBodies struct {
		ID   uint64
		Errs []error
	}
	// Imported answers Import.
	Imported struct {
		ID     uint64
		N      int
		Err    error
		Status chain.Status
		Head   chain.Header // of Status
		Undone int          // blocks of the old branch, if it was a reorganisation
	}
	// StagedBlocks answers Stage.
	StagedBlocks struct {
		ID  uint64
		Err error
	}
	// LocalImported: a block of our own was imported.
	LocalImported struct {
		Header chain.Header
		Status chain.Status
		Head   chain.Header
		Undone int
	}
	// Tick: nothing happened, but time has passed.
	Tick struct{}
)

func (Ready) input()           {}
func (Joined) input()          {}
func (Left) input()            {}
func (Claims) input()          {}
func (Announced) input()       {}
func (Offered) input()         {}
func (Targeted) input()        {}
func (Sent) input()            {}
func (Answered) input()        {}
func (Looked) input()          {}
func (VerifiedHeaders) input() {}
func (VerifiedBodies) input()  {}
func (Imported) input()        {}
func (StagedBlocks) input()    {}
func (LocalImported) input()   {}
func (Tick) input()            {}

// Effect is what the core wants done. The set is sealed. Effects are carried
// out in order; those with an ID are answered by one input with that ID.
type Effect interface{ effect() }

// The effects.
type (
	// Ask sends a request. Its answer must come even after Cancel: until then
	// it counts as under way.
	Ask struct {
		ID      uint64
		Peer    peer.ID
		Request wire.Request
	}
	// Cancel ends a request that took too long or is not wanted any more.
	Cancel struct{ ID uint64 }
	// Lookup reads headers of the chain, by hash where there is one.
	Lookup struct {
		ID   uint64
		Refs []chain.Ref
	}
	// VerifyHeaders verifies consecutive headers, ascending. With Parent they
	// must follow it. Without, they hang from a trusted one above: whichever
	// of them, or the parent of the first, is imported already is the base
	// (of the numbers up to Head; Staged ones are not imported); if none is,
	// the first serves as parent of the others and stays unverified.
	VerifyHeaders struct {
		ID      uint64
		Parent  *chain.Header
		Headers []chain.Header
		Head    uint64
		Staged  []chain.Hash
	}
	// VerifyBodies verifies bodies against their headers.
	VerifyBodies struct {
		ID     uint64
		Blocks []chain.Block
	}
	// Import imports consecutive blocks, in order.
	Import struct {
		ID    uint64
		Items []Item
	}
	// Stage puts linked blocks on disk.
	Stage struct {
		ID     uint64
		Blocks []chain.Block
	}
	// Charge makes a peer pay. Lied says that it is for an answer that was taken,
	// and turned out to be wrong: the wire cannot know.
	Charge struct {
		Peer    peer.ID
		Offense peer.Offense
		Detail  string
		Lied    bool
	}
	// Tell passes an event on.
	Tell struct{ Event Event }
)

// Item is a block to import: in memory, or staged and named by Ref.
type Item struct {
	Ref    chain.Ref
	Staged bool
	Block  chain.Block // unless Staged
}

func (Ask) effect()           {}
func (Cancel) effect()        {}
func (Lookup) effect()        {}
func (VerifyHeaders) effect() {}
func (VerifyBodies) effect()  {}
func (Import) effect()        {}
func (Stage) effect()         {}
func (Charge) effect()        {}
func (Tell) effect()          {}

// The pace of the scheduler.
const (
	minStall       = 2 * time.Second  // the shortest deadline of a request
	maxStall       = 32 * time.Second // it doubles up to this with each timeout
	floorRate      = 32 << 10         // bytes per second that a peer should manage
	maxDeadline    = 2 * time.Minute  // of any request
	lackFor        = 10 * time.Minute // not asked again for a range that it had claimed and answered empty
	missFor        = 15 * time.Second // not asked again for what it said it does not have
	giveUpAfter    = 30 * time.Second // without progress, a job ends
	hopelessAfter  = 2 * time.Second  // without anybody to ask for a body, a forward job ends
	recheckAfter   = 100 * time.Millisecond
	maxRetryTarget = 5 * time.Minute  // a target that nobody has is retried at this pace, and when a peer joins
	retryGapAfter  = 10 * time.Second // a gap that nobody filled
	minTrouble     = time.Second      // our own trouble: back-off, doubling
	maxTrouble     = time.Minute
	falseHeadAt    = 3               // undelivered heads until FalseHead
	soonTime       = 5 * time.Second // a path that is fetched within this is not staged
	tellEvery      = 10 * time.Second
	stuckAfter     = 5 * time.Second  // without progress, the reason is stated
	claimFor       = 10 * time.Second // a claim that is not whole is waited for
	unsureFor      = time.Minute      // and all that may be claimed, without progress
)

// The sizes of the scheduler.
const (
	defaultHeaders   = 512       // headers a request, where Caps does not say
	defaultBlocks    = 128       // blocks or bodies a request, where Caps does not say
	firstHeaders     = 64        // headers asked from a master that is not measured
	firstAnswer      = 64 << 10  // bytes asked from a peer that is not measured
	minAnswer        = 16 << 10  // bytes asked from a slow peer
	maxAnswer        = 1 << 20   // bytes asked in one request
	soonRate         = 8 << 20   // bytes a second at least, for that
	maxHeaderAnswer  = 512 << 10 // bytes of unverified headers kept of one answer
	headerPipeline   = 2         // header requests under way with the master: 1 MiB unverified in all
	maxEntries       = 16384     // verified headers ahead of the import
	importBlocks     = 256       // blocks in one import
	importBytes      = 8 << 20
	maxQuarantined   = 4096 // offered blocks
	maxRecent        = 512  // imported headers remembered
	maxBad           = 1024 // hashes known to be bad
	maxLacks         = 32   // ranges remembered per peer
	wholeGap         = 16   // a gap up to this is fetched as whole blocks at once
	backwardGap      = 1024 // a gap over this is left to forward sync, where there is one
	farAbove         = 32   // blocks above our head, over which announced ones are not fetched (relay)
	nearHead         = 8    // blocks behind that gossip may bring by itself
	maxStagedHeaders = 1 << 20
)
