package opstack

import (
	"context"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
)

const (
	// chooseEvery is after how many blocks the client's head is moved while it is
	// filled: what it has executed and was not told to keep, it holds in memory.
	chooseEvery = 32
	// maxLooks bounds the questions for the last common block. They go back in
	// steps that double, so that the distance has no bound.
	maxLooks = 48
	// fillLong is how many blocks a client lacks for which its filling is a state
	// of its own, and fillTold how often the log is told of it.
	fillLong = 32
	fillTold = time.Minute
)

// errApart: the client is of another chain.
var errApart = errors.New("opstack: the execution client has another first block than this network")

// fill hands the client the ledger's canonical blocks that it lacks, in order,
// and gives the last; the zero Block if it lacks none. It goes on until the
// ledger's head, which may move meanwhile.
func (f *Feeder) fill(ctx context.Context) (last chain.Block, err error) {
	at, ok, err := f.common(ctx)
	if err != nil || !ok {
		return last, err
	}
	began, long := time.Now(), f.c.Chain.Status().Head.Number > at+fillLong
	for n := at + 1; ; n++ {
		to := f.c.Chain.Status().Head.Number
		if n > to {
			break
		}
		b, err := f.c.Chain.Block(ctx, chain.Ref{Number: n})
		if err != nil {
			return last, &ledgerError{err}
		}
		switch err := f.payload(ctx, b); {
		case errors.Is(err, errMissing):
			// It takes none from us now: it is syncing by itself, or its state is gone.
			return chain.Block{}, nil
		case err != nil:
			return last, err
		}
		if long {
			f.filled(began, FeedFill{From: at + 1, At: n, To: to})
		}
		if last = b; n%chooseEvery == 0 {
			if err := f.choose(ctx, b); err != nil {
				return last, err
			}
		}
	}
	return last, nil
}

// common is the number of a block that both the ledger and the client have as
// canonical, not far below the last such one. ok is false where the client says
// nothing of its chain, or where the ledger does not reach down to it.
func (f *Feeder) common(ctx context.Context) (number uint64, ok bool, err error) {
	theirs, err := f.c.Engine.Head(ctx)
	f.count(ctx, "block", PayloadStatus{Status: StatusValid}, err)
	if err != nil {
		return 0, false, unsaid(err)
	}
	st := f.c.Chain.Status()
	n := min(theirs.Number, st.Head.Number)
	for look, step := 0, uint64(1); look < maxLooks; look, step = look+1, 2*step {
		if n != theirs.Number {
			var there bool
			theirs, there, err = f.c.Engine.Block(ctx, n)
			f.count(ctx, "block", PayloadStatus{Status: StatusValid}, err)
			if err != nil || !there {
				return 0, false, unsaid(err)
			}
		}
		ours, err := f.c.Chain.Header(ctx, chain.Ref{Number: n})
		switch {
		case errors.Is(err, chain.ErrNotFound):
			return 0, false, nil // it is below our first
		case err != nil:
			return 0, false, &ledgerError{err}
		case ours.Ref.Hash == theirs.Hash:
			return n, true, nil
		case ours.Ref.Hash == st.Genesis:
			return 0, false, errApart
		}
		first, err := f.first(ctx, st)
		if err != nil {
			return 0, false, err
		}
		n = max(first, n-min(n, step))
	}
	return 0, false, nil
}

// first is the number of the network's first block.
func (f *Feeder) first(ctx context.Context, st chain.Status) (uint64, error) {
	h, err := f.c.Chain.Header(ctx, chain.Ref{Hash: st.Genesis})
	if err != nil {
		return 0, &ledgerError{err}
	}
	return h.Ref.Number, nil
}

// unsaid forgives a client that does not answer questions about blocks on its
// Engine API's port: it must then fetch by itself what it lacks.
func unsaid(err error) error {
	var answer *answerError
	if errors.As(err, &answer) && answer.Code == codeNoMethod {
		return nil
	}
	return err
}
