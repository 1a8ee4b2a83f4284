package opstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/starlingp2p/starling/chain"
)

// Codes of a FeedState.
const (
	FeedStarting    = "starting"  // nothing was to be handed over yet
	FeedFollowing   = "following" // the client has the newest block as its head
	FeedSyncing     = "syncing"   // the client fetches what it lacks
	FeedUnreachable = "unreachable"
	FeedSlow        = "slow"
	FeedDenied      = "denied"
	FeedNoEngine    = "no-engine"
	FeedFork        = "unsupported-fork"
	FeedInvalid     = "invalid"
	FeedApart       = "other-chain"
	FeedFailed      = "failed"
	FeedLedger      = "ledger"
)

// FeedState tells how an execution client follows.
type FeedState struct {
	Code          string // a fixed word
	Cause, Remedy string // for people; empty where all is well
	Detail        string // the error; clean
	Since         time.Time
	Head          chain.Ref // that the client has taken last
}

// Trouble reports whether an operator should act.
func (s FeedState) Trouble() bool {
	return s.Code != FeedStarting && s.Code != FeedFollowing && s.Code != FeedSyncing
}

// reached notes the block that the client now has as its head.
func (f *Feeder) reached(ref chain.Ref) {
	st := *f.state.Load()
	st.Head = ref
	f.state.Store(&st)
}

// judge makes the outcome of a round the state, and tells the log when it is
// another than before.
func (f *Feeder) judge(err error) FeedState {
	old := *f.state.Load()
	st := old
	st.Code, st.Cause, st.Remedy, st.Detail = explain(err, f.c.Engine.Host())
	if st.Code != old.Code {
		st.Since = time.Now()
	}
	f.state.Store(&st)
	if st.Code != old.Code {
		switch {
		case st.Trouble():
			f.c.Logger.Warn("the execution client does not follow", "reason", st.Code, "cause", st.Cause, "remedy", st.Remedy, "err", st.Detail)
		case st.Code == FeedFollowing:
			f.c.Logger.Info("the execution client follows the unsafe head", "head", st.Head.Number)
		case st.Code == FeedSyncing:
			f.c.Logger.Info("the execution client fetches the blocks that it lacks")
		}
	}
	return st
}

// explain says what an outcome is, why, and what to do.
func explain(err error, host string) (code, cause, remedy, detail string) {
	var (
		answer  *answerError
		status  *statusError
		invalid *invalidError
		ours    *ledgerError
	)
	if err != nil {
		detail = err.Error()
	}
	switch {
	case err == nil:
		return FeedFollowing, "", "", ""
	case errors.Is(err, errNothing):
		return FeedStarting, "", "", ""
	case errors.Is(err, errMissing):
		return FeedSyncing, "", "", ""
	case errors.Is(err, errApart):
		return FeedApart, fmt.Sprintf("the execution client at %s is of another chain: its first block is not this network's", host),
			"initialise it with this network's genesis, or name another in network.opstack.engine", detail
	case errors.As(err, &ours):
		return FeedLedger, "blocks for the execution client could not be read from the ledger", "look at the disk and into the log", detail
	case errors.As(err, &invalid):
		return FeedInvalid, fmt.Sprintf("the execution client at %s finds block %d not valid, though the sequencer signed it", host, invalid.ref.Number),
			"compare its version and its fork schedule with this network's: one of the two is not up to date", detail
	case errors.As(err, &status) && (status.Status == http.StatusUnauthorized || status.Status == http.StatusForbidden):
		return FeedDenied, fmt.Sprintf("the execution client at %s does not take our token", host),
			"have network.opstack.engine_jwt name the file that its --authrpc.jwtsecret names, and compare both clocks: a token counts for a minute", detail
	case errors.As(err, &status), errors.Is(err, errNoEngine), errors.As(err, &answer) && answer.Code == codeNoMethod:
		return FeedNoEngine, fmt.Sprintf("what answers at %s is no Engine API", host),
			"have network.opstack.engine name the client's --authrpc.addr and --authrpc.port, 8551 by default, not those of its public RPC or of its peers", detail
	case errors.As(err, &answer) && answer.Code == codeUnsupportedFork:
		return FeedFork, fmt.Sprintf("the execution client at %s is at another fork than the block", host),
			"compare network.opstack.forks with its genesis file, and update whichever lacks a fork", detail
	case errors.As(err, &answer) && answer.Code == codeForkchoice:
		return FeedFailed, fmt.Sprintf("the execution client at %s has another final block", host),
			"it is on another branch than this node: compare both heads with a source that you trust, and make the wrong one anew", detail
	case errors.As(err, &answer):
		return FeedFailed, fmt.Sprintf("the execution client at %s fails", host), "look into its log", detail
	case errors.Is(err, context.DeadlineExceeded):
		return FeedSlow, fmt.Sprintf("the execution client at %s does not answer in time", host), "look at its load and into its log", detail
	}
	return FeedUnreachable, fmt.Sprintf("nobody answers as execution client at %s", host),
		"start it with its Engine API on (--authrpc.addr, --authrpc.port), or correct network.opstack.engine", detail
}

// count counts a call.
func (f *Feeder) count(ctx context.Context, call string, st PayloadStatus, err error) {
	if ctx.Err() != nil {
		return
	}
	result := strings.ToLower(st.Status)
	if err != nil {
		result, _, _, _ = explain(err, "")
	}
	f.calls.Add(FeedCall{call, result}, 1)
}
