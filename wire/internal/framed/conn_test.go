package framed

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/intake"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat M-02: a frame that ends early is a fault at every length, and the end
// between two frames is none.
func TestTruncatedFramesAreFaults(t *testing.T) {
	whole := sealed(1, "hello")
	for n := range len(whole) + 1 {
		bubble(t, func(t *testing.T) {
			ca, cb := pair(t, bed.Link{})
			c := NewConn(ca, new(plain), intake.NewBudget(0))
			cb.Write(whole[:n])
			cb.Close()
			f, err := c.Read(t.Context(), time.Minute)
			switch {
			case n == 0 && err != io.EOF:
				t.Errorf("an empty link: %v, want io.EOF", err)
			case n == len(whole) && (err != nil || string(f.Payload) != "hello"):
				t.Errorf("the whole frame: %q, %v", f.Payload, err)
			case n > 0 && n < len(whole) && wiretest.OffenseOf(err) != peer.TruncatedFrame:
				t.Errorf("%d bytes: %v, want %s", n, err, peer.TruncatedFrame)
			}
			c.Close()
		})
	}
}

// Threat M-03: a length over the bound is refused, and one under it takes no
// more than a step before there is something to put there.
func TestLengthsCostLittle(t *testing.T) {
	budget := intake.NewBudget(0)
	read := func(in []byte) error {
		a, b := net.Pipe()
		defer a.Close()
		go func() { b.Write(in); b.Close() }()
		_, err := NewConn(a, new(plain), budget).Read(t.Context(), time.Minute)
		return err
	}
	if err := read([]byte{1, 0xff, 0xff, 0xff, 0xff}); wiretest.OffenseOf(err) != peer.BadFrame {
		t.Errorf("a length of 4 GiB: %v", err)
	}
	res := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if err := read([]byte{1, 0, 0, 16, 0}); wiretest.OffenseOf(err) != peer.TruncatedFrame {
				b.Errorf("1 MiB without a body: %v", err)
			}
		}
	})
	if got := res.AllocedBytesPerOp(); got > readStep+readBuffer+16<<10 {
		t.Errorf("a length of 1 MiB took %d bytes", got)
	}
}

// Threat Z-01: a frame that drips in is a fault at its deadline.
func TestSlowlorisIsChargedAtTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{})
		start := time.Now()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for _, c := range sealed(1, strings.Repeat("x", 32<<10)) {
				if _, err := cb.Write([]byte{c}); err != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		})
		if e := a.ends(t); e.Reason != peer.Slow || e.ByRemote {
			t.Errorf("ended with %+v", e)
		}
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("the end came after %v", took)
		}
		if got := a.charged(); !slices.Equal(got, []peer.Offense{peer.SlowFrame}) {
			t.Errorf("charged %v", got)
		}
		cb.Close()
	})
}

// A link that stops in a frame ends it, and nobody is to blame.
func TestALinkThatStopsIsNoFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{})
		cb.Write(sealed(1, strings.Repeat("x", 300<<10))[:100<<10])
		if e := a.ends(t); e.Reason != peer.Slow || len(a.charged()) > 0 {
			t.Errorf("ended with %+v, charged %v", e, a.charged())
		}
		cb.Close()
	})
}

func TestSilenceEndsALink(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		a := run(t, ca, Config{Idle: 30 * time.Second})
		start := time.Now()
		time.Sleep(20 * time.Second)
		cb.Write(sealed(1, "still here"))
		if e := a.ends(t); e.Reason != peer.Idle || e.ByRemote || len(a.charged()) > 0 {
			t.Errorf("ended with %+v, charged %v", e, a.charged())
		}
		if took := time.Since(start); took != 50*time.Second {
			t.Errorf("the end came after %v", took)
		}
		cb.Close()
	})
}

func TestAHandshakeKeepsToItsDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		c := NewConn(ca, new(plain), intake.NewBudget(0))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.Write(ctx, 7, []byte("hi")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		go func() {
			for range 4 {
				cb.Write(sealed(1, "x"))
				time.Sleep(4 * time.Second)
			}
		}()
		var err error
		for n := 0; err == nil; n++ {
			_, err = c.Read(ctx, time.Minute)
		}
		if took := time.Since(start); !errors.Is(err, ErrIdle) || took != 10*time.Second {
			t.Errorf("Read = %v after %v", err, took)
		}
		time.Sleep(10 * time.Second)
		c.Close()
		if got := drain(cb); !bytes.Equal(got, sealed(7, "hi")) {
			t.Errorf("the other side got %q", got)
		}
		cb.Close()
	})
}

func TestUnwantedFramesAreSkippedInNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		budget := intake.NewBudget(1 << 20)
		all, _ := budget.Take(t.Context(), 1<<20)
		c := NewConn(ca, new(plain), budget)
		go func() {
			cb.Write(sealed(skipped, strings.Repeat("x", 900<<10)))
			cb.Write(sealed(1, "wanted"))
		}()
		if f, err := c.Read(t.Context(), time.Minute); err != nil || string(f.Payload) != "wanted" {
			t.Errorf("Read = %q, %v", f.Payload, err)
		}
		all()
		c.Close()
		cb.Close()
	})
}

// Threat B-04: frames wait for their memory, and get it.
func TestFramesWaitForMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		budget := intake.NewBudget(1 << 20)
		var held []Frame
		for range 3 {
			ca, cb := pair(t, bed.Link{})
			c := NewConn(ca, new(plain), budget)
			go func() { cb.Write(sealed(1, strings.Repeat("x", 500<<10))) }()
			if len(held) == 2 {
				first := held[0]
				go func() { time.Sleep(2 * time.Second); first.Release(); first.Release() }()
			}
			start := time.Now()
			f, err := c.Read(t.Context(), time.Minute)
			if err != nil {
				t.Fatalf("frame %d: %v", len(held), err)
			}
			if took := time.Since(start); len(held) == 2 && took != 2*time.Second {
				t.Errorf("the third frame came after %v", took)
			}
			held = append(held, f)
			c.Close()
			cb.Close()
		}
		held[1].Release()
		held[2].Release()
		if _, err := budget.Take(t.Context(), 1<<20); err != nil {
			t.Error(err)
		}
	})
}

// What a codec takes beside the frame is granted too, and given back with it.
func TestDecodedMemoryIsGranted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca, cb := pair(t, bed.Link{})
		budget := intake.NewBudget(1 << 20)
		c := NewConn(ca, new(plain), budget)
		cb.Write(sealed(254, "\x00\x00\x0f\x00"))
		f, err := c.Read(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := budget.Take(ctx, 100<<10); err == nil {
			t.Error("the decoded bytes were not taken")
		}
		f.Release()
		give, err := budget.Take(t.Context(), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		spare, err := budget.More(t.Context(), 1) // another takes what is not there
		if err != nil {
			t.Fatal(err)
		}
		cb.Write(sealed(254, "\x00\x00\x0f\x00"))
		start := time.Now()
		if _, err := c.Read(t.Context(), time.Minute); !errors.Is(err, ErrStarved) || !errors.Is(err, wire.ErrOurs) {
			t.Errorf("Read without memory = %v after %v", err, time.Since(start))
		}
		spare()
		give()
		c.Close()
		cb.Close()
	})
}

// Links whose frames fill the budget, and whose decoders all want more of it,
// do not wait for each other.
func TestDecodersDoNotWaitForEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		budget := intake.NewBudget(1 << 20)
		const links = 4
		frame := append([]byte{0, 0, 4, 0}, make([]byte, 256<<10-4)...) // a quarter of the budget, and as much decoded
		frames, errs := make(chan Frame, links), make(chan error, links)
		for range links {
			ca, cb := pair(t, bed.Link{})
			defer ca.Close()
			defer cb.Close()
			go cb.Write(sealed(254, string(frame)))
			c := NewConn(ca, new(plain), budget)
			go func() {
				f, err := c.Read(t.Context(), time.Minute)
				if err == nil {
					time.Sleep(time.Second)
					f.Release()
				}
				frames <- f
				errs <- err
			}()
		}
		start := time.Now()
		for range links {
			<-frames
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took > links*2*time.Second {
			t.Errorf("it took %v", took)
		}
		if used := budget.Used(); used != 0 {
			t.Errorf("%d bytes are still granted", used)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(sealed(1, "hello"))
	f.Add(append(sealed(skipped, "x"), sealed(2, "")...))
	f.Add([]byte{254, 4, 0, 0, 0, 1, 2, 3, 0})
	budget := intake.NewBudget(8 << 20)
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte{253}) {
			return
		}
		a, b := net.Pipe()
		done := make(chan struct{})
		go func() { defer close(done); b.Write(in); b.Close() }()
		c := NewConn(a, new(plain), budget)
		var again []byte
		for {
			fr, err := c.Read(context.Background(), time.Minute)
			if err != nil {
				break
			}
			again, _ = new(plain).Seal(again, fr.Code, fr.Payload)
			fr.Release()
		}
		a.Close()
		<-done
		if !bytes.Contains(in, again) && !bytes.Contains(in, []byte{skipped}) {
			t.Fatalf("%x is not in %x", again, in)
		}
	})
}
