package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/pause"
)

// Pace of an event stream: at most so often, and a sign of life so often.
const (
	streamEvery = 250 * time.Millisecond
	streamAlive = 15 * time.Second
)

// EventStream serves a node's events as server-sent events. Each carries RUN-N
// as id, where N is the number of its record in this run of the node, its kind
// as event and the record as data.
//
// A client that names no event it has seen gets a snapshot first. One that does
// (Last-Event-ID, or ?last_event_id= where it cannot set a header; 0 for the
// first that is kept) gets all that is kept since. What it has missed, since it
// was too long away or too slow, is told by an event "dropped" with the count,
// and a new snapshot; if the id is of an earlier run, how many events it missed
// of that nobody knows, and the event says 0 and "restarted". Of
// states that follow each other within a quarter of a second only the last is
// sent. ?events=a,b asks for those kinds only.
func (s *Server) EventStream(log *eventlog.Log, snapshot func() any) http.Handler {
	raw := make([]byte, 4)
	rand.Read(raw) // never fails
	run := hex.EncodeToString(raw)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", "GET")
			refuse(w, http.StatusMethodNotAllowed, errorf(CodeInvalid, "rpc: method is %.20q, want GET", r.Method))
			return
		}
		seen, err := lastSeen(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		leave, ok := s.stay(w, callerOf(r), true)
		if !ok {
			return
		}
		defer leave()
		es := &eventStream{
			lost: func(n uint64) { s.events.Add("stream-dropped", n) },
			w:    w, control: http.NewResponseController(w), log: log, run: run, snapshot: snapshot,
			kinds: strings.FieldsFunc(r.URL.Query().Get("events"), func(c rune) bool { return c == ',' }),
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		if err := es.serve(r.Context(), seen); err != nil && r.Context().Err() == nil {
			s.log.Debug("event stream ended", "err", err)
		}
	})
}

// place is where a client has stopped reading.
type place struct {
	named bool   // it has named an event
	run   string // in which that was; empty: it does not say
	id    uint64
}

// lastSeen is the last event that the client has.
func lastSeen(r *http.Request) (place, *Error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("last_event_id")
	}
	if text == "" {
		return place{}, nil
	}
	run, number, ok := strings.Cut(text, "-")
	if !ok {
		run, number = "", text
	}
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil || ok && (run == "" || strings.Trim(run, "0123456789abcdef") != "") {
		return place{}, errorf(CodeBadParams, "rpc: last event id is %.40q, want one of this stream, or 0", text)
	}
	return place{true, run, id}, nil
}

type eventStream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	log      *eventlog.Log
	run      string // of the node; a part of each id
	snapshot func() any
	kinds    []string // none: all

	at      uint64 // the last record that was dealt with
	dropped uint64 // in all
	lost    func(n uint64)
}

func (e *eventStream) serve(ctx context.Context, seen place) error {
	end := e.log.Last()
	known := seen.run == e.run && seen.id <= end || seen.run == "" && seen.id == 0
	var err error
	switch {
	case !seen.named:
		err = e.restart()
	case known:
		e.at = seen.id
		err = e.replay(end)
	default:
		err = e.skip(true)
	}
	if err != nil {
		return err
	}
	for {
		waiting, cancel := context.WithTimeout(ctx, streamAlive)
		err := e.log.Wait(waiting, e.at)
		cancel()
		switch {
		case ctx.Err() != nil || errors.Is(err, eventlog.ErrEnded):
			return nil
		case err != nil:
			if err := e.put(": alive\n\n"); err != nil {
				return err
			}
			continue
		}
		recs, missed := e.log.Since(e.at, MaxLag+1)
		if missed > 0 || len(recs) > MaxLag {
			if err := e.skip(false); err != nil {
				return err
			}
		} else if err := e.send(recs); err != nil {
			return err
		}
		pause.For(ctx, streamEvery)
	}
}

// replay sends what is kept up to a record. What is kept no longer is told as
// dropped first, with a snapshot.
func (e *eventStream) replay(end uint64) error {
	if _, missed := e.log.Since(e.at, 0); missed > 0 {
		return e.skip(false)
	}
	for e.at < end {
		recs, missed := e.log.Since(e.at, MaxLag)
		if missed > 0 {
			return e.skip(false)
		}
		if err := e.send(recs); err != nil {
			return err
		}
	}
	return e.control.Flush()
}

// restart sends a snapshot, after which events follow from now on.
func (e *eventStream) restart() error {
	e.at = e.log.Last()
	return e.event("snapshot", e.at, e.snapshot())
}

// skip tells what is lost, and restarts. What was lost of another run of the
// node nobody knows, and of this one the client has asked for nothing yet.
func (e *eventStream) skip(restarted bool) error {
	last, lost := e.log.Last(), uint64(0)
	if !restarted {
		lost = last - e.at
		e.dropped += lost
		e.lost(lost)
	}
	e.at = last
	told := map[string]any{"v": 1, "dropped": lost, "total": e.dropped}
	if restarted {
		told["restarted"] = true
	}
	if err := e.event("dropped", e.at, told); err != nil {
		return err
	}
	return e.restart()
}

// send sends records, without the states that others of them replace.
func (e *eventStream) send(recs []eventlog.Record) error {
	last := map[string]uint64{}
	for _, r := range recs {
		if k := stateOf(r); k != "" {
			last[k] = r.ID
		}
	}
	for _, r := range recs {
		e.at = r.ID
		name := eventlog.Name(r.Event)
		if k := stateOf(r); k != "" && last[k] != r.ID || len(e.kinds) > 0 && !slices.Contains(e.kinds, name) {
			continue
		}
		if err := e.event(name, r.ID, r); err != nil {
			return err
		}
	}
	return nil
}

// stateOf names the state that a record tells, if it is one that a later record
// of the same state makes old.
func stateOf(r eventlog.Record) string {
	switch name := eventlog.Name(r.Event); name {
	case eventlog.HeadChanged, eventlog.ClockSuspected:
		return name
	}
	return ""
}

func (e *eventStream) event(name string, id uint64, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("rpc: event: %w", err)
	}
	return e.put(fmt.Sprintf("id: %s-%d\nevent: %s\ndata: %s\n\n", e.run, id, name, raw))
}

func (e *eventStream) put(text string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.control.Flush()
}
