package wiretest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/starlingp2p/starling/wire"
)

func hostileChecks() []Check {
	raw := func(_ wire.Caps, w World) bool { return w.Raw != nil }
	return []Check{
		{Name: "RandomBytes", Rule: "random bytes before the handshake end the link in time; honest peers get in meanwhile (M-01)", run: randomBytes, needs: raw},
		{Name: "HalfOpen", Rule: "a link that says nothing is closed in time and is no peer (H-01)", run: halfOpen, needs: raw},
	}
}

// closedBy reads until the other side has closed, and gives the time it took.
func closedBy(c net.Conn) (time.Duration, error) {
	start := time.Now()
	c.SetReadDeadline(start.Add(30 * time.Second))
	buf := make([]byte, 4096)
	for {
		_, err := c.Read(buf)
		var t net.Error
		if errors.As(err, &t) && t.Timeout() {
			return 0, errors.New("the link was not closed within 30 s")
		}
		if err != nil {
			return time.Since(start), nil
		}
	}
}

// besieged opens raw links, sends first on each, and checks how they end.
func besieged(l *lab, links int, first func(int) []byte) error {
	a, b, err := l.two(nil, nil)
	if err != nil {
		return err
	}
	addr, err := a.addr()
	if err != nil {
		return err
	}
	took := make(chan error, links)
	for i := range links {
		c, err := l.world.Raw(l.ctx, addr)
		if err != nil {
			return fmt.Errorf("World.Raw: %w", err)
		}
		defer c.Close()
		if m := first(i); len(m) > 0 {
			c.Write(m) // it may be refused in the middle
		}
		l.goes(func() {
			d, err := closedBy(c)
			if err == nil && d > 6*time.Second {
				err = fmt.Errorf("the link was closed after %v, want at most 5 s", d)
			}
			took <- err
		})
	}
	ctx, cancel := context.WithTimeout(l.ctx, soon)
	defer cancel()
	addrB, err := b.addr()
	if err != nil {
		return err
	}
	if err := a.wire.Dial(ctx, addrB); err != nil {
		return fmt.Errorf("an honest peer under siege: Dial: %w", err)
	}
	var errs []error
	for range links {
		errs = append(errs, <-took)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if n := len(a.host.Opened()); n != 1 {
		return fmt.Errorf("%d sessions were opened, want only the honest one", n)
	}
	return l.until("Refused for the links", func() bool { return len(Reports[wire.Refused](a.host)) > 0 }, a)
}

func randomBytes(l *lab) error {
	return besieged(l, 20, func(i int) []byte {
		b := make([]byte, 16<<uint(i%10))
		x := uint32(i)*2654435761 + 1
		for k := range b {
			x = x*1664525 + 1013904223
			b[k] = byte(x >> 24)
		}
		return b
	})
}

func halfOpen(l *lab) error { return besieged(l, 20, func(int) []byte { return nil }) }
