package wire_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func TestRefusalNamesTheLimit(t *testing.T) {
	err := fmt.Errorf("sync: %w", &wire.Refusal{Code: wire.RefusedLimit, Limit: "peer-bytes", RetryAfter: 250 * time.Millisecond})
	if want := "sync: wire: request refused: rate limited by peer-bytes, retry after 250ms"; err.Error() != want {
		t.Errorf("Error = %q, want %q", err, want)
	}
	if !errors.Is(err, &wire.Refusal{Code: wire.RefusedLimit}) || errors.Is(err, &wire.Refusal{Code: wire.RefusedNotFound}) {
		t.Error("errors.Is does not go by the code")
	}
}

func TestFaultKeepsItsCause(t *testing.T) {
	err := error(&wire.Fault{Offense: peer.BadEncoding, Err: io.ErrUnexpectedEOF})
	var f *wire.Fault
	if !errors.As(err, &f) || f.Offense != peer.BadEncoding || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("fault lost its offense or cause: %v", err)
	}
}

func TestKindsAndLanesHaveNames(t *testing.T) {
	requests := []wire.Request{
		wire.GetHeaders{},
		wire.GetBodies{},
		wire.GetBlocks{},
		wire.GetBlocksByHash{},
		wire.GetReceipts{},
		wire.GetTxs{},
		wire.GetAddrs{},
		wire.AppRequest{},
	}
	for _, r := range requests {
		if wire.KindOf(r) == "unknown" {
			t.Errorf("%T has no kind", r)
		}
	}
	for l := range wire.NumLanes {
		if l.String() == "unknown" {
			t.Errorf("lane %d has no name", l)
		}
	}
}
