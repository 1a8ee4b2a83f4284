package reqresp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

func wantFault(t *testing.T, err error, o peer.Offense) {
	t.Helper()
	var f *wire.Fault
	if !errors.As(err, &f) || f.Offense != o {
		t.Errorf("error = %v, want the fault %s", err, o)
	}
}

// against asks r of a server that reads the request and then does as it likes.
func against(t *testing.T, r wire.Request, l reqresp.Limits, server func(s *end)) (wire.Response, error) {
	t.Helper()
	a, s := pair()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Read(make([]byte, 1<<10))
		server(s)
	}()
	resp, err := reqresp.Do(t.Context(), a, r, l)
	a.Reset()
	<-done
	return resp, err
}

func frameOf(parts ...[]byte) []byte {
	return codectest.Pack(bytes.Join(parts, nil))
}

var (
	ok      = codec.AppendAnswerEnd(nil, codec.End{})
	one     = wire.GetBlocksByHash{Hashes: []chain.Hash{hash(1)}}
	three   = wire.GetBlocksByHash{Hashes: []chain.Hash{hash(1), hash(2), hash(3)}}
	blockOf = func(n int) []byte { return codec.AppendAnswerBlock(nil, block(n, 10)) }
)

func TestLyingAnswersAreFaults(t *testing.T) {
	tests := []struct {
		name   string
		ask    wire.Request
		answer []byte
		want   peer.Offense
	}{
		{"L-01 another block", one, frameOf(blockOf(2), ok), peer.WrongBlock},
		{"L-04 twice the same", three, frameOf(blockOf(1), blockOf(1), ok), peer.UnorderedAnswer},
		{"L-04 out of order", three, frameOf(blockOf(2), blockOf(1), ok), peer.UnorderedAnswer},
		{"L-08 more than asked", one, frameOf(blockOf(1), blockOf(1), ok), peer.Unasked},
		{"L-08 another kind", one, frameOf(codec.AppendAnswerTx(nil, []byte("tx")), ok), peer.Unasked},
		{"L-08 another kind beside", one, frameOf(blockOf(1), codec.AppendAnswerApp(nil, nil), ok), peer.Unasked},
		{"more than a range", wire.GetBlocks{Range: chain.Range{Count: 1}}, frameOf(blockOf(1), blockOf(2), ok), peer.Unasked},
		{"items for a count of 0", wire.GetHeaders{}, frameOf(codec.AppendAnswerHeader(nil, exampleHeader), ok), peer.Unasked},
		{"M-03 length of 5 bytes", one, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, peer.BadFrame},
		{"M-03 length over the cap", one, []byte{0xff, 0xff, 0xff, 0x7f}, peer.BadFrame},
		{"M-07 length not minimal", one, []byte{0x81, 0x00}, peer.BadFrame},
		{"M-07 bytes that are no message", one, codec.AppendFrame(nil, []byte{0, 0xff}), peer.BadEncoding},
		{"form unknown", one, codec.AppendFrame(nil, []byte{7, 1}), peer.BadEncoding},
		{"B-01 snappy that claims 2^32-1", one, codec.AppendFrame(nil, []byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}), peer.Bomb},
		{"M-02 cut in a frame", one, frameOf(blockOf(1), ok)[:20], peer.TruncatedFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := against(t, tt.ask, reqresp.Limits{}, func(s *end) { s.Write(tt.answer); s.Close() })
			wantFault(t, err, tt.want)
		})
	}
}

var exampleHeader = block(1, 0).Header

// B-02: however small its frames, an answer never passes its bound.
func TestAnswersAreBoundedInAll(t *testing.T) {
	ask := wire.GetBlocks{Range: chain.Range{Count: 1 << 30}}
	zeros := chain.Block{Header: exampleHeader, Body: make([]byte, 60<<10)}
	frame := frameOf(codec.AppendAnswerBlock(nil, zeros)) // shrinks to 3 KiB
	sent := 0
	_, err := against(t, ask, reqresp.Limits{AnswerMax: 1 << 20}, func(s *end) {
		for ; ; sent++ {
			if _, err := s.Write(frame); err != nil {
				return
			}
		}
	})
	wantFault(t, err, peer.Unasked)

	empty := frameOf()
	_, err = against(t, ask, reqresp.Limits{}, func(s *end) {
		for {
			if _, err := s.Write(empty); err != nil {
				return
			}
		}
	})
	wantFault(t, err, peer.Unasked)
}

// Items that came before a refusal count.
func TestServerMayStopEarly(t *testing.T) {
	stop := codec.AppendAnswerEnd(nil, codec.End{Code: wire.RefusedLimit, Limit: "peer-bytes"})
	resp, err := against(t, three, reqresp.Limits{}, func(s *end) {
		s.Write(frameOf(blockOf(1)))
		s.Write(frameOf(blockOf(3), stop))
	})
	if err != nil || len(resp.(wire.Blocks).Blocks) != 2 {
		t.Errorf("Do = %v, %v", resp, err)
	}
}

// Z-03: no answer is a timeout, and no fault by itself.
func TestNoAnswerIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := against(t, one, reqresp.Limits{}, func(*end) {})
		var f *wire.Fault
		if !errors.Is(err, reqresp.ErrTimeout) || errors.As(err, &f) || time.Since(began) != 10*time.Second {
			t.Errorf("Do = %v after %v, want ErrTimeout after 10s", err, time.Since(began))
		}
		// Nor one that stops between two frames.
		_, err = against(t, three, reqresp.Limits{}, func(s *end) { s.Write(frameOf(blockOf(1))) })
		if !errors.Is(err, reqresp.ErrTimeout) || errors.As(err, &f) {
			t.Errorf("Do = %v, want ErrTimeout", err)
		}
		// Nor one that the caller's own deadline cut short.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, _ := pair()
		_, err = reqresp.Do(ctx, a, one, reqresp.Limits{})
		if errors.As(err, &f) || !errors.Is(err, reqresp.ErrTimeout) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do = %v, want a timeout", err)
		}
	})
}

// drip writes b slowly, for ever if need be.
func drip(s *end, b []byte, n int, every time.Duration) {
	for len(b) > 0 {
		k := min(n, len(b))
		if _, err := s.Write(b[:k]); err != nil {
			return
		}
		b = b[k:]
		time.Sleep(every)
	}
}

// Z-01: a frame that drips in is given up after 10 s + 32 KiB/s, and its
// sender pays. At the floor it passes.
func TestSlowFramesAreFaultsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := frameOf(codec.AppendAnswerBlock(nil, block(1, 64<<10)), ok)
		began := time.Now()
		_, err := against(t, one, reqresp.Limits{}, func(s *end) { drip(s, answer, 1, 5*time.Second) })
		wantFault(t, err, peer.SlowFrame)
		if took := time.Since(began); took < 10*time.Second || took > 12*time.Second+5*time.Second {
			t.Errorf("gave up after %v, want 10 s + 64 KiB / 32 KiB/s", took)
		}
		_, err = against(t, one, reqresp.Limits{}, func(s *end) { drip(s, answer, 16<<10, 500*time.Millisecond) })
		if err != nil {
			t.Errorf("at the floor: %v", err)
		}

		// A request that comes slowly, likewise; one that never comes is none.
		a, s := pair()
		go drip(a, codectest.Pack(make([]byte, 1000)), 1, 5*time.Second)
		wantFault(t, reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, nil), peer.SlowFrame)
		a.Reset()
		began = time.Now()
		_, s = pair()
		err = reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, nil)
		var f *wire.Fault
		if !errors.Is(err, reqresp.ErrTimeout) || errors.As(err, &f) || time.Since(began) != 10*time.Second {
			t.Errorf("a silent asker: %v after %v", err, time.Since(began))
		}
	})
}

// A link that is slow or has stopped is no fault, though frames are late on
// it: else one partition would ban every peer that was just answering.
func TestSlowOrBrokenLinksAreNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := frameOf(codec.AppendAnswerBlock(nil, block(1, 256<<10)), ok)
		for name, send := range map[string]func(s *end){
			"stopped at once":   func(s *end) { s.Write(answer[:2]) },
			"stopped half-way":  func(s *end) { s.Write(answer[:100<<10]) },
			"8 KiB/s":           func(s *end) { drip(s, answer, 4<<10, 500*time.Millisecond) },
			"bursts, then none": func(s *end) { drip(s, answer[:60<<10], 20<<10, 4*time.Second) },
		} {
			_, err := against(t, one, reqresp.Limits{}, send)
			var f *wire.Fault
			if !errors.Is(err, reqresp.ErrTimeout) || errors.As(err, &f) {
				t.Errorf("%s: %v, want ErrTimeout and no fault", name, err)
			}
		}
	})
}

// Z-02: an asker that never reads holds its stream for a frame's deadline, and
// then the window has its bytes back.
func TestAskerThatNeverReadsIsLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, w := range []*reqresp.Window{nil, reqresp.NewWindow()} {
			a, s := pair()
			req, _ := codec.AppendRequest(nil, codec.Request{Ask: wire.GetBlocks{Range: chain.Range{Count: 100}}, AckEvery: 32 << 10})
			a.Write(codectest.Pack(req))
			began := time.Now()
			err := reqresp.Answer(t.Context(), s, w, reqresp.Limits{}, answering(wire.Blocks{Blocks: blocks(64, 64<<10)}, nil))
			if !errors.Is(err, reqresp.ErrTimeout) || time.Since(began) > 13*time.Second {
				t.Errorf("Answer = %v after %v", err, time.Since(began))
			}
			if w != nil {
				if _, inFlight := w.Size(); inFlight != 0 {
					t.Errorf("%d bytes left in the window", inFlight)
				}
			}
		}
	})
}

func TestHostileRequestsAreFaults(t *testing.T) {
	two := append(request(t, one), request(t, three)...)
	tests := []struct {
		name  string
		bytes []byte
		want  peer.Offense
	}{
		{"M-03 length", []byte{0xff, 0xff, 0xff, 0xff, 0xff}, peer.BadFrame},
		{"over the cap of requests", []byte{0x80, 0x80, 0x80, 0x01}, peer.BadFrame},
		{"two kinds", codectest.Pack(two), peer.BadEncoding},
		{"M-04 hashes cut", codectest.Pack([]byte{0x22, 0x05, 0x0a, 0x03, 1, 2, 3}), peer.BadEncoding},
		{"more after the request", append(codectest.Pack(request(t, one)), 1, 2, 3), peer.Unasked},
		{"cut", codectest.Pack(request(t, one))[:9], peer.TruncatedFrame},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, s := pair()
			a.Write(tt.bytes)
			a.Close()
			err := reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, func(context.Context, wire.Request) (wire.Response, error) {
				t.Error("served")
				return nil, nil
			})
			wantFault(t, err, tt.want)
		})
	}
}

func request(t testing.TB, r wire.Request) []byte {
	t.Helper()
	b, err := codec.AppendRequest(nil, codec.Request{Ask: r, AckEvery: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A kind of a later minor is refused, and is no fault.
func TestKindsOfALaterMinorAreUnsupported(t *testing.T) {
	a, s := pair()
	a.Write(codectest.Pack([]byte{0x42, 0x02, 0x08, 0x01})) // field 8
	if err := reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	raw, _ := io.ReadAll(a)
	if want := frameOf(codec.AppendAnswerEnd(nil, codec.End{Code: wire.RefusedUnsupported})); !bytes.Equal(raw, want) {
		t.Errorf("answer = %x, want %x", raw, want)
	}
}

func TestHostileAcknowledgementsAreFaults(t *testing.T) {
	for name, ack := range map[string][]byte{
		"more than was sent": {0xff, 0xff, 0xff, 0x7f},
		"over 4 bytes":       {0x80, 0x80, 0x80, 0x80},
		"of nothing":         {0},
		"not minimal":        {0x80, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := reqresp.NewWindow()
				a, s := pair()
				a.Write(codectest.Pack(request(t, wire.GetBlocks{Range: chain.Range{Count: 100}})))
				go func() { time.Sleep(time.Second); a.Write(ack) }()
				err := reqresp.Answer(t.Context(), s, w, reqresp.Limits{}, answering(wire.Blocks{Blocks: blocks(100, 64<<10)}, nil))
				wantFault(t, err, peer.BadEncoding)
				if _, inFlight := w.Size(); inFlight != 0 {
					t.Errorf("%d bytes left in the window", inFlight)
				}
			})
		})
	}
}

// Whatever the asker takes, an answer never passes it; an item that alone is
// too much is a limit, by name.
func TestAskersBoundHolds(t *testing.T) {
	bs := blocks(50, 64<<10)
	serve := func(l reqresp.Limits, list []chain.Block) (wire.Response, error) {
		a, s := pair()
		done := make(chan error, 1)
		go func() {
			done <- reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, func(_ context.Context, r wire.Request) (wire.Response, error) {
				return wire.Blocks{Blocks: list}, nil
			})
		}()
		resp, err := reqresp.Do(t.Context(), a, wire.GetBlocks{Range: chain.Range{Count: 50}}, l)
		if err := <-done; err != nil {
			t.Error(err)
		}
		return resp, err
	}
	for _, tt := range []struct {
		l    reqresp.Limits
		want int
	}{
		{reqresp.Limits{}, 50},
		{reqresp.Limits{AnswerMax: 200 << 10}, 3},
		{reqresp.Limits{AckEvery: -1}, 3}, // 256 KiB for those who do not acknowledge
	} {
		resp, err := serve(tt.l, bs)
		if err != nil || len(resp.(wire.Blocks).Blocks) != tt.want {
			t.Errorf("%+v: %v, want %d blocks", tt.l, err, tt.want)
		}
	}
	_, err := serve(reqresp.Limits{AnswerMax: 1 << 10}, bs)
	var why *wire.Refusal
	if !errors.As(err, &why) || why.Limit != "answer-bytes" {
		t.Errorf("Do = %v, want a refusal by answer-bytes", err)
	}
}
