package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/eventlog"
)

// Pace of an event stream: at most so often, and a sign of life so often.
const (
	streamEvery = 250 * time.Millisecond
	streamAlive = 15 * time.Second
)

// EventStream serves a node's events as server-sent events. Each carries the
// number of its record as id, its kind as event and the record as data.
//
// A client that names no event it has seen gets a snapshot first. One that does
// (Last-Event-ID, or ?last_event_id= where it cannot set a header) gets all
// that is kept since. What it has missed, since it was too long away or too
// slow, is told by an event "dropped" with the count, and a new snapshot. Of
// states that follow each other within a quarter of a second only the last is
// sent. ?events=a,b asks for those kinds only.
func (s *Server) EventStream(log *eventlog.Log, snapshot func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", "GET")
			refuse(w, http.StatusMethodNotAllowed, errorf(CodeInvalid, "rpc: method is %.20q, want GET", r.Method))
			return
		}
		seen, resume, err := lastSeen(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		leave, ok := s.stay(w, callerOf(r))
		if !ok {
			return
		}
		defer leave()
		es := &eventStream{
			lost: func(n uint64) { s.events.Add("stream-dropped", n) },
			w:    w, control: http.NewResponseController(w), log: log, snapshot: snapshot,
			kinds: strings.FieldsFunc(r.URL.Query().Get("events"), func(c rune) bool { return c == ',' }),
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		if err := es.run(r.Context(), seen, resume); err != nil && r.Context().Err() == nil {
			s.log.Debug("event stream ended", "err", err)
		}
	})
}

// lastSeen is the number of the last event that the client has.
func lastSeen(r *http.Request) (id uint64, ok bool, bad *Error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("last_event_id")
	}
	if text == "" {
		return 0, false, nil
	}
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false, errorf(CodeBadParams, "rpc: last event id is %.40q, want a number", text)
	}
	return id, true, nil
}

type eventStream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	log      *eventlog.Log
	snapshot func() any
	kinds    []string // none: all

	at      uint64 // the last record that was dealt with
	dropped uint64 // in all
	lost    func(n uint64)
}

func (e *eventStream) run(ctx context.Context, seen uint64, resume bool) error {
	end := e.log.Last()
	if resume && seen <= end {
		e.at = seen
		if err := e.replay(end); err != nil {
			return err
		}
	} else if err := e.restart(); err != nil {
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
			if err := e.skip(); err != nil {
				return err
			}
		} else if err := e.send(recs); err != nil {
			return err
		}
		rest(ctx, streamEvery)
	}
}

// replay sends what is kept up to a record. What is kept no longer is told as
// dropped first, with a snapshot.
func (e *eventStream) replay(end uint64) error {
	if _, missed := e.log.Since(e.at, 0); missed > 0 {
		return e.skip()
	}
	for e.at < end {
		recs, missed := e.log.Since(e.at, MaxLag)
		if missed > 0 {
			return e.skip()
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

// skip tells what is lost, and restarts.
func (e *eventStream) skip() error {
	lost := e.log.Last() - e.at
	e.dropped += lost
	e.lost(lost)
	e.at += lost
	if err := e.event("dropped", e.at, map[string]any{"v": 1, "dropped": lost, "total": e.dropped}); err != nil {
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
	return e.put(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", id, name, raw))
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
