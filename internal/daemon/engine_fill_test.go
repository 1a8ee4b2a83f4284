package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/why"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// While an execution client is given the many blocks that it lacks, the status,
// "why" and the metrics tell which, how far it is and how fast.
func TestAFillingIsToldEverywhere(t *testing.T) {
	const count, stops = 100, 60 // the client stops at that payload
	reached, release := make(chan struct{}), make(chan struct{})
	payloads := 0
	cfg := engineConfig(t, strings.Repeat("ab", 32), 0o600)
	genesis, err := chain.ParseHash(cfg.Networks[0].OPStack.GenesisHash)
	if err != nil {
		t.Fatal(err)
	}
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Method string }
		raw, _ := io.ReadAll(r.Body)
		json.Unmarshal(raw, &q)
		result := `{"status":"VALID"}`
		switch {
		case strings.HasPrefix(q.Method, "engine_newPayload"):
			if payloads++; payloads == 1 { // the head's: it lacks the parent
				result = `{"status":"SYNCING"}`
			}
			if payloads == stops {
				close(reached)
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}
		case strings.HasPrefix(q.Method, "engine_forkchoice"):
			result = `{"payloadStatus":{"status":"VALID"}}`
		default:
			result = fmt.Sprintf(`{"number":"0x0","hash":%q}`, genesis)
		}
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, result)
	}))
	defer client.Close()
	defer close(release)
	cfg.Networks[0].OPStack.Engine = client.URL
	n, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if st := n.Status().Engine; st == nil || st.State != family.FeedStarting || st.Fill != nil {
		t.Errorf("before the start the status says %+v", st)
	}
	parent := chain.Ref{Hash: genesis}
	for i := range uint64(count) {
		e, err := codec.Draft{Version: codec.V2, Parent: parent, Time: 1700000001 + i/2, Txs: [][]byte{{2, byte(i)}}}.Envelope()
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.Block(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.stack.ledger.Import(t.Context(), []chain.Block{b}); err != nil {
			t.Fatal(err)
		}
		parent = b.Ref()
	}
	ctx, cancel := context.WithCancel(t.Context())
	n.onReady = func() error { return nil }
	done := make(chan error, 1)
	go func() { done <- n.node.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Fatal("the client was not filled")
	}
	st := n.Status().Engine
	if st.State != family.FeedFilling || st.Fill == nil || st.Fill.From != 1 || st.Fill.At != stops-2 || st.Fill.To != count || st.Fill.Rate <= 0 || st.Head.Number != 32 {
		t.Errorf("the status says %+v, %+v; want a filling of 1 to %d that is at %d", st, st.Fill, count, stops-2)
	}
	found := n.stack.engine.findings()
	if len(found) != 1 || found[0].Code != "engine:filling" || found[0].Level != why.Notice || !strings.Contains(found[0].Cause, "blocks 1 to 100") || !strings.Contains(found[0].Evidence[0], "at block 58") {
		t.Errorf("why says %+v", found)
	}
	if e := n.stack.engine.counters(); e.State != family.FeedFilling || e.FillAt != stops-2 || e.FillTo != count || e.FillRate <= 0 {
		t.Errorf("the metrics have %+v", e)
	}
}
