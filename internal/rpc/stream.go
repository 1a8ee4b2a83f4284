package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/pause"
)

// Bounds of a connection that stays.
const (
	answerTimeout = 10 * time.Second // for the writing of one message, and as answerWithin has it
	answerRate    = 256 << 10        // bytes a second that who reads a large one takes
	connCalls     = 16               // at once; more wait unread
	connRate      = 200              // calls a second; what comes faster waits unread
)

// answerWithin is how long a message may take to be written: a large answer to
// who is far away takes its time.
func answerWithin(bytes int) time.Duration {
	return answerTimeout + time.Duration(bytes/answerRate)*time.Second
}

// carrier carries whole messages both ways.
type carrier interface {
	// read blocks for the next message. io.EOF: the other side has no more.
	read(b *budget) (*body, error)
	// write writes one message within answerWithin. It may append to msg.
	write(msg []byte) error
	close()
}

// stream answers the calls of one connection, several at once, and carries
// notifications to it.
type stream struct {
	server  *Server
	carrier carrier
	caller  *caller
	budget  *budget
	writing chan struct{} // holds one: who has it writes
	subs    subscriptions
	pace    bucket.Bucket // of the unix socket; only run touches it
}

func newStream(s *Server, c carrier, who *caller, b *budget) *stream {
	st := &stream{server: s, carrier: c, caller: who, budget: b, writing: make(chan struct{}, 1), subs: subscriptions{by: map[string]*subscription{}}, pace: bucket.New(connRate, connRate, time.Now())}
	who.stream = st
	return st
}

// run reads and answers until the other side leaves, does not take what it
// asked for, or ctx ends. It returns when every call has ended.
func (st *stream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		wg    sync.WaitGroup // of calls
		slots = make(chan struct{}, connCalls)
	)
	defer st.subs.endAll()
	defer st.carrier.close()
	defer wg.Wait()
	stop := context.AfterFunc(ctx, st.carrier.close)
	defer stop()
	defer func() {
		if ctx.Err() == nil {
			wg.Wait() // who has only ended its side of the stream yet waits for answers
		}
		cancel()
	}()
	for {
		msg, err := st.carrier.read(st.budget)
		if err != nil {
			var own *Error
			if errors.As(err, &own) {
				st.send(ctx, failed(own).out)
				cancel()
			} else if !errors.Is(err, io.EOF) {
				cancel()
			}
			return
		}
		n, bad := calls(msg.bytes)
		if bad == nil {
			st.slow(ctx, n+weight(len(msg.bytes)))
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				msg.free()
				return
			}
		} else if msg.free(); !st.send(ctx, failed(bad).out) {
			return
		} else {
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r := st.server.handle(ctx, st.caller, msg.bytes)
			msg.free()
			if r.code == CodeParse {
				defer cancel() // whatever comes after it makes no sense
			}
			if r.out != nil && !st.send(ctx, r.out) {
				cancel()
				return
			}
			for _, f := range r.after {
				f(ctx)
			}
		})
	}
}

// slow waits until the caller may ask n calls more. Meanwhile nothing is read.
func (st *stream) slow(ctx context.Context, n int) {
	if st.caller.charge == nil {
		if delay, _ := st.pace.Reserve(time.Now(), float64(n), time.Hour); delay > 0 {
			pause.For(ctx, delay)
		}
		return
	}
	for ctx.Err() == nil {
		delay := st.caller.charge(n)
		if delay == 0 {
			return
		}
		pause.For(ctx, delay)
	}
}

// send writes one message, after those that are being written. It reports
// whether the connection is of more use.
func (st *stream) send(ctx context.Context, msg []byte) bool {
	select {
	case st.writing <- struct{}{}:
		defer func() { <-st.writing }()
	case <-ctx.Done():
		return false
	}
	if err := st.carrier.write(msg); err != nil {
		st.carrier.close()
		return false
	}
	return true
}
