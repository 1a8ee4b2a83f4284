package devnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
)

// inProcess is one run of a node as goroutines of this process.
type inProcess struct {
	cancel context.CancelFunc
	said   chan struct{} // closed once the node has said that it is ready
	ended  chan struct{} // closed when it is gone
	first  daemon.Event  // valid once said is closed
	acked  atomic.Uint64
	err    error // how it ended; valid once ended is closed
}

func startInProcess(config string, on func(daemon.Event)) (*inProcess, error) {
	cfg, err := daemon.LoadConfig(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &inProcess{cancel: cancel, said: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = daemon.Run(ctx, cfg, daemon.Output{Out: io.Discard, Err: io.Discard, JSON: true, OnEvent: func(ev daemon.Event) {
			switch ev.Event {
			case daemon.EventReady:
				p.first = ev
				close(p.said)
			case daemon.EventHead:
				p.acked.Store(ev.Number)
			}
			on(ev)
		}})
	}()
	return p, nil
}

func (p *inProcess) await(ctx context.Context) error {
	select {
	case <-p.said:
		return nil
	case <-p.ended:
		return fmt.Errorf("devnet: node ended before it was ready: %w", errors.Join(p.err, errEnded))
	case <-ctx.Done():
		return fmt.Errorf("devnet: node is not ready: %w", ctx.Err())
	}
}

func (p *inProcess) stop() error {
	p.cancel()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(10 * time.Second):
		return errors.New("devnet: node did not stop within 10s")
	}
}

func (p *inProcess) kill()                 { p.stop() }
func (p *inProcess) ready() daemon.Event   { return p.first }
func (p *inProcess) lastAcked() uint64     { return p.acked.Load() }
func (p *inProcess) gone() <-chan struct{} { return p.ended }
