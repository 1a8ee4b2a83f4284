package blocksync

import (
	"errors"

	"github.com/starlingp2p/starling/chain"
)

// Cause names why a sync makes no progress. It is a fixed word, fit for a metric
// label; the reason says the same with numbers, for people.
type Cause string

// The causes.
const (
	CauseDiskFull      Cause = "disk-full"       // our disk takes no more
	CauseCorrupt       Cause = "corrupt-chain"   // what we stored is not what it was
	CauseTrouble       Cause = "storage-trouble" // reading or writing our chain fails
	CauseNoPeers       Cause = "no-peers"
	CauseFewPeers      Cause = "few-peers"          // a sync begins with more
	CauseDisk          Cause = "slow-disk"          // waiting for a read
	CauseImport        Cause = "slow-import"        // waiting for the chain to import
	CauseVerify        Cause = "slow-verification"  //
	CauseAnswers       Cause = "peers-slow"         // requests are under way
	CauseSilent        Cause = "peers-silent"       // and nobody answers them
	CauseRefusing      Cause = "peers-refuse"       // rate limits, or trouble of theirs
	CauseLacking       Cause = "peers-lack-blocks"  // they do not have what they would have to give
	CauseOtherBranch   Cause = "peers-other-branch" // wrong answers, or another branch
	CauseNobodyToAsk   Cause = "nobody-to-ask"      // no peer can be asked for what is missing
	CauseMissingParent Cause = "parent-missing"     // a block came whose parent nobody gives
	CauseWaiting       Cause = "waiting"
)

// Causes lists every cause.
func Causes() []Cause {
	return []Cause{
		CauseDiskFull, CauseCorrupt, CauseTrouble, CauseNoPeers, CauseFewPeers, CauseDisk, CauseImport, CauseVerify, CauseAnswers, CauseSilent,
		CauseRefusing, CauseLacking, CauseOtherBranch, CauseNobodyToAsk, CauseMissingParent, CauseWaiting,
	}
}

// stall is why there is no progress: the cause, and the same for people. The
// zero value is progress.
type stall struct {
	cause Cause
	text  string
}

// causeOf names our own trouble.
func causeOf(err error) Cause {
	switch {
	case errors.Is(err, chain.ErrFull):
		return CauseDiskFull
	case errors.Is(err, chain.ErrCorrupt):
		return CauseCorrupt
	}
	return CauseTrouble
}
