package p2phost

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/peer"
)

// lost words the end of its reader as yamux words a lost connection.
type lost struct{ io.Reader }

func (l lost) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	if err == io.EOF {
		err = fmt.Errorf("stream reset: connection closed: %w", err)
	}
	return n, err
}

// piped is a stream over net.Pipe; only what frames need of one works.
type piped struct {
	network.Stream
	conn net.Conn
	in   io.Reader
}

func (p piped) Read(b []byte) (int, error)        { return p.in.Read(b) }
func (p piped) SetReadDeadline(t time.Time) error { return p.conn.SetReadDeadline(t) }

// read reads one frame of 20,000 bytes that send writes, and gives what the
// sender was charged with.
func read(t *testing.T, wrap func(io.Reader) io.Reader, send func(w io.Writer)) (charged []peer.Offense, err error) {
	t.Helper()
	const size = 20_000
	a, b := net.Pipe()
	defer b.Close()
	var in io.Reader = b
	if wrap != nil {
		in = wrap(in)
	}
	s := &grantedStream{
		Stream: piped{conn: b, in: in}, budget: NewBudget(1 << 20), max: 1 << 20, ctx: t.Context(), starve: func() {},
		charge: func(o peer.Offense, _ string) { charged = append(charged, o) },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer a.Close()
		a.Write(binary.AppendUvarint(nil, size))
		send(a)
	}()
	length := make([]byte, 1)
	for range 3 { // 20,000 takes three bytes
		if _, err = s.Read(length); err != nil {
			break
		}
	}
	if err == nil {
		_, err = io.ReadFull(s, make([]byte, size))
	}
	s.giveBack()
	b.Close()
	<-done
	return charged, err
}

func TestOnlyAFrameThatDripsIsChargedAsSlow(t *testing.T) {
	// The deadline of the frame is 10.6 s.
	tests := []struct {
		name    string
		send    func(w io.Writer)
		charged bool
		whole   bool
	}{
		{"at once", func(w io.Writer) { w.Write(make([]byte, 20_000)) }, false, true},
		{"the rest is late", func(w io.Writer) {
			w.Write(make([]byte, 8000))
			time.Sleep(9 * time.Second)
			w.Write(make([]byte, 12_000))
		}, false, true},
		{"the link stops", func(w io.Writer) {
			w.Write(make([]byte, 8000))
			time.Sleep(time.Minute)
		}, false, false},
		{"the link stops at once", func(io.Writer) { time.Sleep(time.Minute) }, false, false},
		{"a slow link", func(w io.Writer) {
			for range 20 { // 1.5 kB a second
				time.Sleep(time.Second)
				if _, err := w.Write(make([]byte, 1500)); err != nil {
					return
				}
			}
		}, false, false},
		{"byte by byte", func(w io.Writer) {
			for range 20 {
				time.Sleep(time.Second)
				if _, err := w.Write([]byte{0}); err != nil {
					return
				}
			}
		}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				charged, err := read(t, nil, tt.send)
				if (err == nil) != tt.whole {
					t.Errorf("error = %v, want the frame %v", err, tt.whole)
				}
				want := 0
				if tt.charged {
					want = 1
				}
				if len(charged) != want || want == 1 && charged[0] != peer.SlowFrame {
					t.Errorf("charged with %v, want slow-frame %v", charged, tt.charged)
				}
			})
		})
	}
}

func TestOnlyTheEndOfAStreamInsideAFrameIsCharged(t *testing.T) {
	half := func(w io.Writer) { w.Write(make([]byte, 8000)) }
	if charged, err := read(t, nil, half); err == nil || len(charged) != 1 || charged[0] != peer.TruncatedFrame {
		t.Errorf("a frame that ends: %v, charged with %v", err, charged)
	}
	wrap := func(r io.Reader) io.Reader { return lost{r} }
	if charged, err := read(t, wrap, half); err == nil || len(charged) != 0 {
		t.Errorf("a lost connection: %v, charged with %v", err, charged)
	}
}
