package intake

import (
	"errors"
	"net"
	"os"
	"time"
)

const (
	// dripRate is the rate, in bytes a second, below which a late frame that is
	// still moving is a fault. A link that is slow, or has stopped, is none.
	dripRate = 256
	// dripGap is how long ago bytes came last, at most, in a frame that moves.
	dripGap = 6 * time.Second
)

// Pace tells how the bytes of one frame come in. One goroutine uses it.
type Pace struct {
	began time.Time
	last  time.Time // when bytes came last
	got   int
}

// Begin notes that a frame begins, of which some bytes are there already.
func (p *Pace) Begin(got int) {
	now := time.Now()
	p.began, p.last, p.got = now, now, got
}

// Came notes that n more bytes of it came.
func (p *Pace) Came(n int) {
	if n > 0 {
		p.got += n
		p.last = time.Now()
	}
}

// Drips reports whether a frame that is late is still moving, and slower than
// any link that is of use: the way to hold memory at no cost. What a lossy link
// delays, or one that has stopped, comes in bursts or not at all.
func (p *Pace) Drips() bool {
	now := time.Now()
	return now.Sub(p.last) < dripGap && p.got < int(now.Sub(p.began).Seconds()*dripRate)
}

// IsTimeout reports whether an error is a missed deadline. Multiplexers have
// each their own.
func IsTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
