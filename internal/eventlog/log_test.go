package eventlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func alarm(i int) starling.Event { return starling.Alarm{Text: fmt.Sprint(i)} }

// ids are the numbers of records.
func ids(recs []eventlog.Record) (out []uint64) {
	for _, r := range recs {
		out = append(out, r.ID)
	}
	return out
}

func TestReadersPullAndMissWhatIsGone(t *testing.T) {
	l := eventlog.New(4)
	if recs, missed := l.Since(0, 10); len(recs) != 0 || missed != 0 {
		t.Errorf("an empty log gave %v, missed %d", recs, missed)
	}
	for i := range 10 {
		if got := l.Add(alarm(i)); got != uint64(i+1) {
			t.Fatalf("event %d got number %d", i, got)
		}
	}
	for _, tt := range []struct {
		since  uint64
		limit  int
		want   string
		missed uint64
	}{
		{0, 10, "[7 8 9 10]", 6},
		{3, 10, "[7 8 9 10]", 3},
		{6, 10, "[7 8 9 10]", 0},
		{8, 1, "[9]", 0},
		{9, 10, "[10]", 0},
		{10, 10, "[]", 0},
		{10, -1, "[]", 0},
		{99, 10, "[7 8 9 10]", 6}, // of another run of the node
	} {
		recs, missed := l.Since(tt.since, tt.limit)
		if got := fmt.Sprint(ids(recs)); got != tt.want || missed != tt.missed {
			t.Errorf("Since(%d, %d) = %s, missed %d; want %s, %d", tt.since, tt.limit, got, missed, tt.want, tt.missed)
		}
	}
}

// The log is bounded in bytes too, whatever a remote puts into an event.
func TestTheRingIsBoundedInBytes(t *testing.T) {
	l := eventlog.New(eventlog.MaxCapacity)
	const each = 1 << 20
	for range 20 {
		l.Add(starling.Alarm{Text: strings.Repeat("x", each)})
	}
	recs, missed := l.Since(0, 100)
	if len(recs) > eventlog.MaxBytes/each || len(recs) == 0 || missed != 20-uint64(len(recs)) {
		t.Errorf("%d events of 1 MiB are kept, missed %d", len(recs), missed)
	}
}

func TestWaitEndsWithTheNextRecordOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(4)
		done := make(chan error, 3)
		for range 3 {
			go func() { done <- l.Wait(t.Context(), 0) }()
		}
		synctest.Wait()
		if len(done) > 0 {
			t.Error("Wait ended without a record")
		}
		l.Add(alarm(1))
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := l.Wait(t.Context(), 99); err != nil {
			t.Errorf("after a number of another run: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
	})
}
