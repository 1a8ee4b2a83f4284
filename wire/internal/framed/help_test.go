package framed

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testMax = 1 << 20
	skipped = 255 // a code that nobody wants
)

// plain is a codec for tests: one byte of code, four of length.
type plain struct{ code byte }

func (*plain) HeadSize() int { return 5 }

func (p *plain) Head(h []byte) (Head, error) {
	n := binary.LittleEndian.Uint32(h[1:])
	if n > testMax {
		return Head{}, &wire.Fault{Offense: peer.BadFrame, Err: errors.New("plain: too long")}
	}
	p.code = h[0]
	return Head{Size: int(n), Skip: p.code == skipped}, nil
}

func (p *plain) Open(b []byte, more func(int) error) (uint64, []byte, error) {
	if p.code == 253 {
		panic("plain: cannot")
	}
	if p.code == 254 && len(b) >= 4 { // "compressed"
		if err := more(int(binary.LittleEndian.Uint32(b))); err != nil {
			return 0, nil, err
		}
	}
	return uint64(p.code), b, nil
}

func (*plain) Seal(dst []byte, code uint64, b []byte) ([]byte, error) {
	if len(b) > testMax {
		return nil, errors.New("plain: too long")
	}
	dst = append(dst, byte(code))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b)))
	return append(dst, b...), nil
}

func sealed(code byte, payload string) []byte {
	b, _ := new(plain).Seal(nil, uint64(code), []byte(payload))
	return b
}

// pair makes the two ends of a connection in a bubble.
func pair(t *testing.T, link bed.Link) (a, b net.Conn) {
	t.Helper()
	n := bed.NewNet(bed.Config{Link: link})
	t.Cleanup(func() { n.Close() })
	ha, hb := n.Host(netip.MustParseAddr("203.0.113.1")), n.Host(netip.MustParseAddr("203.0.113.2"))
	l, err := hb.Listen(t.Context(), "tcp", "203.0.113.2:1000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = ha.Dial(t.Context(), "tcp", "203.0.113.2:1000"); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// side is a Link that runs, and what it was told.
type side struct {
	*Link
	conn *Conn
	ran  chan End
	got  chan Frame

	mu      sync.Mutex
	faults  []error
	dropped map[wire.Lane]int
}

func (s *side) charged() []peer.Offense {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []peer.Offense
	for _, err := range s.faults {
		var f *wire.Fault
		if errors.As(err, &f) {
			all = append(all, f.Offense)
		}
	}
	return all
}

func (s *side) lost(l wire.Lane) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped[l]
}

// prepare makes a Link that does not run yet.
func prepare(c net.Conn, cfg Config) *side {
	s := &side{ran: make(chan End, 1), got: make(chan Frame, 4096), dropped: map[wire.Lane]int{}}
	if cfg.Handle == nil {
		cfg.Handle = func(f Frame) error { f.Release(); s.got <- f; return nil }
	}
	cfg.Fault = func(err error) { s.mu.Lock(); s.faults = append(s.faults, err); s.mu.Unlock() }
	cfg.Dropped = func(l wire.Lane, n int) { s.mu.Lock(); s.dropped[l] += n; s.mu.Unlock() }
	s.conn = NewConn(c, new(plain), intake.NewBudget(4<<20))
	s.Link = NewLink(s.conn, cfg)
	return s
}

func (s *side) start(ctx context.Context) { go func() { s.ran <- s.Run(ctx) }() }

// run starts a Link, which is stopped with the test.
func run(t *testing.T, c net.Conn, cfg Config) *side {
	t.Helper()
	s := prepare(c, cfg)
	s.start(t.Context())
	return s
}

// ends waits for the end of a Link.
func (s *side) ends(t *testing.T) End {
	t.Helper()
	select {
	case e := <-s.ran:
		return e
	case <-time.After(time.Hour):
		t.Fatal("the link did not end")
	}
	return End{}
}

func out(code byte, payload string) Out { return Out{Code: uint64(code), Payload: []byte(payload)} }

func send(t *testing.T, s *side, l wire.Lane, m Out) {
	t.Helper()
	if err := s.Send(t.Context(), l, m); err != nil {
		t.Fatalf("Send: %v", err)
	}
}

// drain reads all that comes until the end.
func drain(c net.Conn) []byte {
	b, _ := io.ReadAll(c)
	return b
}
