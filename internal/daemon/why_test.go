package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/why"
)

// A node that nobody told of anybody says so, and what it tried.
func TestANodeThatIsAloneSaysWhy(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].NoDiscovery = true
	c := running(t, cfg)
	var r why.Report
	if err := c.Call(t.Context(), "starling_why", &r); err != nil {
		t.Fatal(err)
	}
	if r.V != 1 || r.Subject != why.NodeSubject || len(r.Findings) == 0 || r.Findings[0].Code != "no-peers:nobody-to-dial" || r.Tried == nil {
		t.Errorf("%+v", r)
	}
	var out strings.Builder
	if err := r.Write(&out); err != nil || !strings.Contains(out.String(), "do: name a node of the network in network.seeds") {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := c.Call(t.Context(), "starling_why", &r, "12D3KooWNobodyKnowsMe"); err != nil || r.Findings[0].Code != "unknown" {
		t.Errorf("%v, %+v", err, r)
	}
	if err := c.Call(t.Context(), "starling_why", &r, "me"); err == nil || !strings.Contains(err.Error(), `"me"`) {
		t.Errorf("a name too short: %v", err)
	}
}

// A recording goes into the datadir, readable by its owner alone, and reads back.
func TestARecordingOfARunningNode(t *testing.T) {
	cfg := newConfig(t)
	c := running(t, cfg)
	var now, later, end RecordReply
	if err := c.Call(t.Context(), "starling_recordStop", &end); err == nil {
		t.Error("a recording ended that never began")
	}
	if err := c.Call(t.Context(), "starling_record", &now); err != nil {
		t.Fatal(err)
	}
	if now.Running || now.End != eventlog.EndTime || now.Error != "" {
		t.Errorf("%+v", now)
	}
	if err := c.Call(t.Context(), "starling_record", &later, 3600); err != nil || !later.Running {
		t.Fatalf("%+v, %v", later, err)
	}
	if err := c.Call(t.Context(), "starling_record", nil, 60); err == nil || !strings.Contains(err.Error(), "starling_recordStop") {
		t.Errorf("two at once: %v", err)
	}
	if err := c.Call(t.Context(), "starling_recordStop", &end); err != nil || end.Running || end.File != later.File || end.End != eventlog.EndStopped {
		t.Errorf("%+v, %v", end, err)
	}
	for _, bad := range [][]any{{-1}, {1 << 40}, {1, -1}, {"x"}} {
		if err := c.Call(t.Context(), "starling_record", nil, bad...); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	for _, r := range []RecordReply{now, end} {
		f, err := os.Open(r.File)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if info, _ := f.Stat(); info.Mode().Perm() != 0o600 || filepath.Dir(r.File) != filepath.Join(cfg.Datadir, "recordings") {
			t.Errorf("%s has mode %v", r.File, info.Mode())
		}
		rd, err := eventlog.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		n := uint64(0)
		for ; ; n++ {
			if _, err = rd.Next(); err != nil {
				break
			}
		}
		if foot, ok := rd.Footer(); !ok || foot.Records != n || rd.Header.Network != "test" {
			t.Errorf("%d records, footer %+v, header %+v: %v", n, foot, rd.Header, err)
		}
	}
}

// A node that ends while it records leaves a recording with an end.
func TestARecordingEndsWithItsNode(t *testing.T) {
	cfg := newConfig(t)
	var r RecordReply
	t.Run("node", func(t *testing.T) {
		if err := running(t, cfg).Call(t.Context(), "starling_record", &r, 3600); err != nil {
			t.Fatal(err)
		}
	})
	raw, err := os.ReadFile(r.File)
	if err != nil || !strings.Contains(string(raw), `"end":"stopped"`) {
		t.Errorf("%v: %.300s", err, raw)
	}
}

func TestRecordingsAreBoundedInNumber(t *testing.T) {
	r := &recorder{dir: t.TempDir(), events: eventlog.New(1), header: func() eventlog.Header { return eventlog.Header{} }}
	for range maxRecordings {
		if _, err := r.start(eventlog.Limits{}); err != nil {
			t.Fatal(err)
		}
		r.wait(t.Context())
	}
	if _, err := r.start(eventlog.Limits{}); err == nil || !strings.Contains(err.Error(), "remove those") {
		t.Errorf("one more: %v", err)
	}
	r.close()
	if _, err := r.start(eventlog.Limits{}); err == nil {
		t.Error("a recording after the end")
	}
}

// Threat R-09: whoever asks all the time, however many they are, costs the
// node's owners one look a second; and a look that hangs holds up nobody who
// has a deadline.
func TestQuestionsShareALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, hang := 0, make(chan struct{})
		e := &explainer{asking: make(chan struct{}, 1)}
		e.survey = func() *why.State {
			if looks++; looks == 11 {
				<-hang
			}
			return &why.State{}
		}
		for range 10 {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if _, err := e.look(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			time.Sleep(stateFor)
		}
		if looks != 10 {
			t.Errorf("%d looks in ten seconds, want one in each", looks)
		}
		stuck := make(chan struct{})
		go func() { defer close(stuck); e.look(context.Background()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.look(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("behind a look that hangs: %v", err)
		}
		close(hang)
		<-stuck
	})
}
