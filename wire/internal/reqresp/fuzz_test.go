package reqresp_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/codec/codectest"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// FuzzAnswerBytes gives an asker any bytes for an answer: it ends in time, with a
// response that holds no more than was asked for, or an error.
func FuzzAnswerBytes(f *testing.F) {
	f.Add(frameOf(blockOf(1), ok))
	f.Add(append(frameOf(blockOf(1)), frameOf(blockOf(3), ok)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, in []byte) {
		synctest.Test(t, func(t *testing.T) {
			for _, r := range []wire.Request{three, wire.GetHeaders{Range: chain.Range{Count: 2}}, wire.AppRequest{}} {
				a, s := pair()
				go func() { s.Write(in) }()
				began := time.Now()
				resp, err := reqresp.Do(t.Context(), a, r, reqresp.Limits{})
				if (resp == nil) == (err == nil) || time.Since(began) > 31*time.Second {
					t.Fatalf("Do = %v, %v after %v", resp, err, time.Since(began))
				}
				if b, ok := resp.(wire.Blocks); ok && len(b.Blocks) > 3 {
					t.Fatalf("%d blocks", len(b.Blocks))
				}
				s.Reset()
			}
		})
	})
}

// FuzzAskerBytes gives a server any bytes for a request and its
// acknowledgements: it ends in time, and the window has its bytes back.
func FuzzAskerBytes(f *testing.F) {
	b, _ := codec.AppendRequest(nil, codec.Request{Ask: three, AckEvery: 4 << 10})
	f.Add(codectest.Pack(b), []byte{0x80, 0x20})
	f.Fuzz(func(t *testing.T, in, acks []byte) {
		bs := blocks(3, 100<<10)
		synctest.Test(t, func(t *testing.T) {
			a, s := pair()
			a.Write(in)
			go func() { time.Sleep(time.Second); a.Write(acks) }()
			w := reqresp.NewWindow()
			began := time.Now()
			err := reqresp.Answer(t.Context(), s, w, reqresp.Limits{}, func(context.Context, wire.Request) (wire.Response, error) {
				return wire.Blocks{Blocks: bs}, nil
			})
			if _, inFlight := w.Size(); inFlight != 0 || time.Since(began) > 31*time.Second {
				t.Fatalf("Answer = %v after %v with %d in flight", err, time.Since(began), inFlight)
			}
			if errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			a.Reset()
		})
	})
}
