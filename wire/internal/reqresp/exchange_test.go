package reqresp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

func hash(n int) chain.Hash { return chain.Hash{31: byte(n), 30: byte(n >> 8), 0: 1} }

func block(n, size int) chain.Block {
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(n)}).Read(body) // does not shrink
	return chain.Block{Header: chain.Header{
		Ref: chain.Ref{Number: uint64(n), Hash: hash(n)}, Parent: hash(n - 1), Time: time.Unix(int64(n), 0).UTC(), Bytes: []byte("h"),
	}, Body: body}
}

func blocks(n, size int) []chain.Block {
	out := make([]chain.Block, n)
	for i := range out {
		out[i] = block(i+1, size)
	}
	return out
}

// exchange runs both sides of one request, and gives both results.
func exchange(t testing.TB, ctx context.Context, r wire.Request, serve reqresp.ServeFunc) (resp wire.Response, err, served error) {
	t.Helper()
	a, s := pair()
	done := make(chan error, 1)
	go func() { done <- reqresp.Answer(ctx, s, reqresp.NewWindow(), reqresp.Limits{}, serve) }()
	resp, err = reqresp.Do(ctx, a, r, reqresp.Limits{})
	return resp, err, <-done
}

func answering(resp wire.Response, err error) reqresp.ServeFunc {
	return func(context.Context, wire.Request) (wire.Response, error) { return resp, err }
}

func TestEveryKindIsAskedAndAnswered(t *testing.T) {
	bs := blocks(5, 100<<10)
	var hashes []chain.Hash
	var headers []chain.Header
	var bodies []wire.Body
	for _, b := range bs {
		hashes, headers = append(hashes, b.Header.Ref.Hash), append(headers, b.Header)
		bodies = append(bodies, wire.Body{Body: b.Body, Extra: []byte("x")})
	}
	rng := chain.Range{From: chain.Ref{Number: 1}, Count: 5, MaxBytes: 1 << 20}
	const most = 10 << 20 // bytes of any answer: whoever serves is told
	tests := []struct {
		ask  wire.Request
		want wire.Response
	}{
		{wire.GetHeaders{Range: rng}, wire.Headers{Headers: headers}},
		{wire.GetBlocks{Range: rng}, wire.Blocks{Blocks: bs}},
		{wire.GetBlocks{Range: rng}, wire.Blocks{}},
		{wire.GetBlocksByHash{Hashes: hashes, MaxBytes: most}, wire.Blocks{Blocks: bs[1:4]}},
		{wire.GetBodies{Hashes: hashes, MaxBytes: most}, wire.Bodies{Hashes: hashes, Bodies: bodies}},
		{wire.GetTxs{Hashes: hashes, MaxBytes: most}, wire.TxList{Txs: []chain.Tx{{Bytes: []byte("tx")}}}},
		{wire.GetAddrs{Max: 4}, wire.Addrs{Addrs: []peer.Addr{{Scheme: "multiaddr", Text: "/ip4/192.0.2.1/tcp/1"}}}},
		{wire.AppRequest{Protocol: "echo", Bytes: []byte("hi")}, wire.AppResponse{Bytes: []byte("ho")}},
		{wire.AppRequest{}, wire.AppResponse{Bytes: []byte{}}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T", tt.ask), func(t *testing.T) {
			var asked wire.Request
			got, err, served := exchange(t, t.Context(), tt.ask, func(_ context.Context, r wire.Request) (wire.Response, error) {
				asked = r
				return tt.want, nil
			})
			if err != nil || served != nil {
				t.Fatalf("Do: %v, Answer: %v", err, served)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.ask, asked, cmp.Transformer("", func(b []byte) string { return string(b) })); diff != "" {
				t.Errorf("served request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusalsNameTheLimit(t *testing.T) {
	want := &wire.Refusal{Code: wire.RefusedLimit, Limit: "prefix-bytes", RetryAfter: 1500 * time.Millisecond, Text: "later"}
	_, err, served := exchange(t, t.Context(), wire.GetAddrs{Max: 1}, answering(nil, fmt.Errorf("serve: %w", want)))
	var got *wire.Refusal
	if !errors.As(err, &got) || served != nil {
		t.Fatalf("Do: %v, Answer: %v", err, served)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
}

func TestOurTroubleIsToldWithoutItsText(t *testing.T) {
	_, err, _ := exchange(t, t.Context(), wire.GetAddrs{Max: 1}, answering(nil, errors.New("pebble: /secret/path")))
	if !errors.Is(err, &wire.Refusal{Code: wire.RefusedInternal}) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Do = %v", err)
	}
	_, err, _ = exchange(t, t.Context(), wire.AppRequest{}, answering(nil, &wire.Refusal{})) // never "ok"
	if !errors.Is(err, &wire.Refusal{Code: wire.RefusedInternal}) {
		t.Errorf("Do = %v, want the refusal without a code as internal", err)
	}
	_, err, _ = exchange(t, t.Context(), wire.GetAddrs{Max: 1}, answering(nil, wire.ErrUnsupported))
	if !errors.Is(err, &wire.Refusal{Code: wire.RefusedUnsupported}) {
		t.Errorf("Do = %v", err)
	}
}

// What was answered to its end is closed, not reset, whatever it says.
func TestCompleteAnswersAreClosedNotReset(t *testing.T) {
	for _, answer := range []reqresp.ServeFunc{
		answering(wire.AppResponse{}, nil),
		answering(nil, &wire.Refusal{Code: wire.RefusedNotFound}),
	} {
		a, s := pair()
		watched := &resets{end: a}
		go reqresp.Answer(t.Context(), s, nil, reqresp.Limits{}, answer)
		reqresp.Do(t.Context(), watched, wire.AppRequest{}, reqresp.Limits{})
		if watched.n != 0 {
			t.Errorf("reset %d times", watched.n)
		}
	}
}

// resets counts Resets; one goroutine uses it.
type resets struct {
	*end
	n int
}

func (r *resets) Reset() error { r.n++; return r.end.Reset() }

func TestUnknownKindsAreNotSent(t *testing.T) {
	a, _ := pair()
	if _, err := reqresp.Do(t.Context(), a, wire.GetReceipts{}, reqresp.Limits{}); !errors.Is(err, wire.ErrUnsupported) {
		t.Errorf("Do(GetReceipts) = %v, want ErrUnsupported", err)
	}
}

func TestEndOfContextResetsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("changed my mind")
		a, s := pair()
		served := make(chan error, 1)
		go func() {
			served <- reqresp.Answer(context.Background(), s, reqresp.NewWindow(), reqresp.Limits{},
				func(ctx context.Context, _ wire.Request) (wire.Response, error) {
					time.Sleep(3 * time.Second)
					return wire.Blocks{Blocks: blocks(1, 10)}, nil
				})
		}()
		go func() { time.Sleep(time.Second); cancel(why) }()
		began := time.Now()
		_, err := reqresp.Do(ctx, a, wire.GetBlocks{Range: chain.Range{Count: 1}}, reqresp.Limits{})
		if !errors.Is(err, why) || time.Since(began) != time.Second {
			t.Errorf("Do = %v after %v", err, time.Since(began))
		}
		if err := <-served; !errors.Is(err, errReset) {
			t.Errorf("Answer = %v, want the reset", err)
		}

		// The server's context likewise.
		ctx, cancel = context.WithCancelCause(t.Context())
		a, s = pair()
		go func() { served <- reqresp.Answer(ctx, s, nil, reqresp.Limits{}, answering(nil, nil)) }()
		synctest.Wait()
		cancel(why)
		if err := <-served; !errors.Is(err, why) {
			t.Errorf("Answer = %v, want %v", err, why)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errReset) {
			t.Errorf("asker reads %v, want a reset", err)
		}
	})
}

// On QUIC closing may fail though the answer is there, and a server may leave
// the stream open: neither spoils the answer.
func TestAnswerNeedsNeitherCloseNorEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, s := pair()
		a.closeErr = errors.New("close called for canceled stream")
		hang := &stubborn{s}
		done := make(chan error, 1)
		go func() {
			done <- reqresp.Answer(t.Context(), hang, nil, reqresp.Limits{}, answering(wire.AppResponse{Bytes: []byte("ho")}, nil))
		}()
		resp, err := reqresp.Do(t.Context(), a, wire.AppRequest{}, reqresp.Limits{})
		if err != nil || string(resp.(wire.AppResponse).Bytes) != "ho" {
			t.Errorf("Do = %v, %v", resp, err)
		}
		if err := <-done; err != nil {
			t.Errorf("Answer = %v", err)
		}
	})
}

// stubborn never closes.
type stubborn struct{ *end }

func (stubborn) Close() error { return nil }
