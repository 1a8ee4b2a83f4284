package wiretest

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func stopChecks() []Check {
	return []Check{
		{Name: "StopTellsPeers", Rule: "when Run ends each peer is told \"quitting\", and every session is reported Closed", run: stopTells},
		{Name: "StopUnderLoad", Rule: "Run ends within 5 s though handlers are busy", run: stopUnderLoad},
	}
}

func stopTells(l *lab) error {
	a, b, err := l.pair(nil, nil)
	if err != nil {
		return err
	}
	s := a.host.Sessions()[0]
	if err := a.stop(); err != nil {
		return err
	}
	select {
	case <-s.Done():
	default:
		return fmt.Errorf("Run returned and a session's Done is open")
	}
	if c := Reports[wire.Closed](a.host); len(c) != 1 || c[0].Reason != peer.Stopping || c[0].ByRemote {
		return fmt.Errorf("Closed = %+v at the side that stops, want %q", c, peer.Stopping)
	}
	if err := l.until("Closed at the other side", func() bool { return len(Reports[wire.Closed](b.host)) == 1 }, b); err != nil {
		return err
	}
	if c := Reports[wire.Closed](b.host)[0]; a.wire.Caps().Goodbye && c.Reason != peer.Stopping || !c.ByRemote {
		return fmt.Errorf("Closed = %q (by remote %v) at the other side, want %q", c.Reason, c.ByRemote, peer.Stopping)
	}
	return nil
}

func stopUnderLoad(l *lab) error {
	release := make(chan struct{})
	defer close(release)
	in := make(chan struct{}, 64)
	a, b, err := l.pair(nil, stuck(release, func() { in <- struct{}{} }))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	l.goes(func() { _, err := a.host.Sessions()[0].Request(l.ctx, l.someRequest(a.wire.Caps())); done <- err })
	if err := arrives(l, in, "a request at Host.Serve"); err != nil {
		return err
	}
	start := time.Now()
	if err := b.stop(); err != nil {
		return err
	}
	got, err := returns(done, "Request did not return though the peer stopped")
	if err == nil && got == nil {
		err = fmt.Errorf("Request = nil though the peer stopped after %v", time.Since(start))
	}
	return err
}
