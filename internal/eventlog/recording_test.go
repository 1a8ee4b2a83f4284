package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
)

// read reads a recording to its end.
func read(raw []byte) (recs []eventlog.Record, r *eventlog.Reader, err error) {
	r, err = eventlog.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, err
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return recs, r, nil
		}
		if err != nil {
			return recs, r, err
		}
		recs = append(recs, rec)
	}
}

// A recording has what was in the log and what came while it was made, to the
// end of its time.
func TestRecordingHasThePastAndWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := eventlog.New(8)
		for i := range 10 {
			l.Add(alarm(i))
		}
		var out bytes.Buffer
		done := make(chan eventlog.Footer, 1)
		began := time.Now()
		go func() {
			f, err := l.WriteRecording(t.Context(), &out, eventlog.Header{Node: "us\n"}, eventlog.Limits{For: time.Minute})
			if err != nil {
				t.Error(err)
			}
			done <- f
		}()
		synctest.Wait()
		for _, ev := range samples() {
			l.Add(ev)
			synctest.Wait()
		}
		f := <-done
		if took := time.Since(began); took != time.Minute || f.End != eventlog.EndTime {
			t.Errorf("it ended after %v, by %s", took, f.End)
		}
		recs, r, err := read(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if want := 8 + len(samples()); len(recs) != want || f.Records != uint64(want) || f.Missed != 2 {
			t.Errorf("%d records, want %d; footer %+v", len(recs), want, f)
		}
		if got, ok := r.Footer(); !ok || got != f {
			t.Errorf("the footer is read as %+v, %v", got, ok)
		}
		if r.Header.Node != "us?" || !r.Header.Began.Equal(began) {
			t.Errorf("header %+v", r.Header)
		}
	})
}

func TestRecordingKeepsItsSize(t *testing.T) {
	for _, size := range []int64{1000, 5000, 20_000} {
		l := eventlog.New(1000)
		for i := range 1000 {
			l.Add(alarm(i))
		}
		var out bytes.Buffer
		f, err := l.WriteRecording(t.Context(), &out, eventlog.Header{}, eventlog.Limits{Bytes: size, For: time.Hour})
		if err != nil || f.End != eventlog.EndSize || int64(out.Len()) > size || int64(out.Len()) < size-600 {
			t.Errorf("of %d bytes: %d, footer %+v, %v", size, out.Len(), f, err)
		}
		if recs, _, err := read(out.Bytes()); err != nil || uint64(len(recs)) != f.Records {
			t.Errorf("%d records, %v, footer %+v", len(recs), err, f)
		}
	}
	for _, bad := range []eventlog.Limits{{Bytes: -1}, {Bytes: eventlog.MaxRecordBytes + 1}, {For: -1}, {For: eventlog.MaxRecordFor + 1}} {
		if _, err := eventlog.New(1).WriteRecording(t.Context(), io.Discard, eventlog.Header{}, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// full fails as a full disk does.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestRecordingEndsWithItsDiskAndItsNode(t *testing.T) {
	l := eventlog.New(1000)
	for range 1000 {
		l.Add(starling.Alarm{Text: strings.Repeat("x", 200)})
	}
	if _, err := l.WriteRecording(t.Context(), &full{left: 10_000}, eventlog.Header{}, eventlog.Limits{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("on a full disk: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	f, err := eventlog.New(1).WriteRecording(ctx, &out, eventlog.Header{}, eventlog.Limits{For: time.Hour})
	if err != nil || f.End != eventlog.EndStopped {
		t.Errorf("stopped: %+v, %v", f, err)
	}
}

func TestReaderRefusesWhatIsNoRecording(t *testing.T) {
	const head = `{"v":1,"format":"starling-events","began":"2026-11-21T12:00:00Z"}` + "\n"
	rec := func(id int) string {
		return fmt.Sprintf(`{"v":1,"id":%d,"time":"2026-11-21T12:00:00Z","event":"alarm"}`+"\n", id)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "empty"},
		{"no header", rec(1), "not the header"},
		{"another format", `{"v":1,"format":"else"}` + "\n", "not the header"},
		{"a newer version", `{"v":2,"format":"starling-events"}` + "\n", "version 2, this program reads 1"},
		{"out of order", head + rec(2) + rec(1), "record 1 comes after record 2"},
		{"twice the same", head + rec(2) + rec(2), "record 2 comes after record 2"},
		{"garbage", head + rec(1) + "garbage\n", "line 3"},
		{"a line without end", head + strings.Repeat("x", 1<<20), "more than 65536 bytes"},
		{"a footer that lies", head + rec(1) + `{"v":1,"end":"time","records":2}` + "\n", "there are 1"},
		{"something behind it", head + rec(1) + `{"v":1,"end":"time","records":1}` + "\n" + rec(2), "after the footer"},
	} {
		if _, _, err := read([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	future := strings.Replace(rec(2), "alarm", "of-the-future", 1)
	recs, r, err := read([]byte(head + rec(1) + future + rec(3)))
	if err != nil || len(recs) != 2 || r.Skipped() != 1 {
		t.Errorf("with an event of the future: %d records, %v", len(recs), err)
	}
	if _, ok := r.Footer(); ok {
		t.Error("a footer that is not there")
	}
}

func FuzzReader(f *testing.F) {
	l := eventlog.New(100)
	for _, ev := range samples() {
		l.Add(ev)
	}
	var out bytes.Buffer
	if _, err := l.WriteRecording(f.Context(), &out, eventlog.Header{Agent: "starling/0.1"}, eventlog.Limits{}); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		recs, _, err := read(in)
		if err != nil {
			return
		}
		for i, r := range recs {
			if r.ID == 0 || i > 0 && r.ID <= recs[i-1].ID {
				t.Fatalf("record %d has number %d", i, r.ID)
			}
		}
	})
}
