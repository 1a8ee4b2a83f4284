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
	FeedFilling     = "filling"   // the client is given, in order, the many blocks that it lacks
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
	Fill          FeedFill  // zero unless the code is FeedFilling
}

// FeedFill is how far a client was brought that lacks many blocks.
type FeedFill struct {
	From, At, To uint64  // the first that it lacked, the last that it took, the last that it is to get
	Rate         float64 // blocks a second since From; 0: not known yet
}

// Left is how long the rest will take at that rate; 0: not known.
func (f FeedFill) Left() time.Duration {
	if f.Rate <= 0 || f.At >= f.To {
		return 0
	}
	return time.Duration(min(float64(f.To-f.At)/f.Rate, 1e6) * float64(time.Second))
}

// Trouble reports whether an operator should act.
func (s FeedState) Trouble() bool {
	switch s.Code {
	case FeedStarting, FeedFollowing, FeedSyncing, FeedFilling:
		return false
	}
	return true
}

// reached notes the block that the client now has as its head.
func (f *Feeder) reached(ref chain.Ref) {
	st := *f.state.Load()
	st.Head = ref
	f.state.Store(&st)
}

// filled notes how far a client was brought that lacked many blocks at the time
// began, and tells the log when it begins and each minute.
func (f *Feeder) filled(began time.Time, fill FeedFill) {
	st := *f.state.Load()
	now := time.Now()
	if took := now.Sub(began).Seconds(); took > 0 {
		fill.Rate = float64(fill.At-fill.From+1) / took
	}
	begins := st.Code != FeedFilling
	if begins {
		st = FeedState{Code: FeedFilling, Since: began, Head: st.Head}
	}
	st.Fill = fill
	f.state.Store(&st)
	if begins || now.Sub(f.tellFill) >= fillTold {
		f.tellFill = now
		f.c.Logger.Info("the execution client is given the blocks that it lacks", "from", fill.From, "at", fill.At, "to", fill.To, "left", fill.Left().Round(time.Second))
	}
}

// judge makes the outcome of a round the state, and tells the log when it is
// another than before.
func (f *Feeder) judge(err error) FeedState {
	old := *f.state.Load()
	st := old
	st.Code, st.Cause, st.Remedy, st.Detail = explain(err, f.c.Engine.Host())
	st.Fill = FeedFill{}
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
