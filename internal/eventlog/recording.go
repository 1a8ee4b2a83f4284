package eventlog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/starlingp2p/starling/peer"
)

// Format names what a recording is. A recording is lines of JSON: a Header, the
// records in order, and a Footer, which is missing if the node ended meanwhile.
const Format = "starling-events"

// Bounds of a recording.
const (
	DefaultRecordBytes = 16 << 20
	MaxRecordBytes     = 1 << 30
	MaxRecordFor       = 24 * time.Hour
)

// Header is a recording's first line.
type Header struct {
	V       int       `json:"v"`
	Format  string    `json:"format"`
	Began   time.Time `json:"began"`
	Agent   string    `json:"agent,omitempty"`
	Node    string    `json:"node,omitempty"` // the identity
	Network string    `json:"network,omitempty"`
	Wire    string    `json:"wire,omitempty"`
}

// Why a recording ended.
const (
	EndTime    = "time"    // as long as was asked for
	EndSize    = "size"    // as large as was asked for
	EndStopped = "stopped" // by the operator, or with the node
)

// Footer is a recording's last line.
type Footer struct {
	V       int    `json:"v"`
	End     string `json:"end"`
	Records uint64 `json:"records"`
	Missed  uint64 `json:"missed"` // events that were gone before they could be written
}

// Limits bound a recording.
type Limits struct {
	Bytes int64         // of the file; 0: DefaultRecordBytes
	For   time.Duration // 0: what the log has now, and no more
}

// Check reports what is wrong with the limits.
func (l Limits) Check() error {
	if l.Bytes < 0 || l.Bytes > MaxRecordBytes {
		return fmt.Errorf("eventlog: a recording of %d bytes, want 0 to %d (0: %d)", l.Bytes, MaxRecordBytes, DefaultRecordBytes)
	}
	if l.For < 0 || l.For > MaxRecordFor {
		return fmt.Errorf("eventlog: a recording for %v, want 0s to %v", l.For, MaxRecordFor)
	}
	return nil
}

// footerRoom is kept free for the last line.
const footerRoom = 256

// WriteRecording writes what the log has and then what comes, until a limit is
// met, ctx ends, or the node does. It blocks until then. The footer says how it
// ended; an error is the writer's.
func (l *Log) WriteRecording(ctx context.Context, w io.Writer, h Header, limits Limits) (Footer, error) {
	if err := limits.Check(); err != nil {
		return Footer{}, err
	}
	if limits.Bytes == 0 {
		limits.Bytes = DefaultRecordBytes
	}
	h.V, h.Format, h.Began = Version, Format, l.wall.Now().UTC()
	h.Agent, h.Node, h.Network, h.Wire = peer.Clean(h.Agent), peer.Clean(h.Node), peer.Clean(h.Network), peer.Clean(h.Wire)
	out := &lineWriter{w: bufio.NewWriter(w), left: limits.Bytes - footerRoom}
	f := Footer{V: Version}
	if _, err := out.put(h); err != nil {
		return f, err
	}
	ctx, cancel := context.WithTimeout(ctx, limits.For)
	defer cancel()
	var at uint64
	for f.End == "" {
		recs, missed := l.Since(at, 256)
		f.Missed += missed
		for _, r := range recs {
			fit, err := out.put(r)
			if err != nil {
				return f, err
			}
			if !fit {
				f.End = EndSize
				break
			}
			f.Records, f.Missed, at = f.Records+1, f.Missed+r.Missed, r.ID
		}
		if f.End != "" || len(recs) > 0 {
			continue
		}
		if err := out.w.Flush(); err != nil {
			return f, fmt.Errorf("eventlog: write: %w", err)
		}
		switch err := l.Wait(ctx, at); {
		case errors.Is(err, context.DeadlineExceeded):
			f.End = EndTime
		case err != nil:
			f.End = EndStopped
		}
	}
	out.left = footerRoom
	if _, err := out.put(f); err != nil {
		return f, err
	}
	if err := out.w.Flush(); err != nil {
		return f, fmt.Errorf("eventlog: write: %w", err)
	}
	return f, nil
}

// lineWriter writes lines while there is room.
type lineWriter struct {
	w    *bufio.Writer
	left int64
}

func (l *lineWriter) put(v any) (fit bool, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return false, fmt.Errorf("eventlog: encode: %w", err)
	}
	if l.left -= int64(len(raw)) + 1; l.left < 0 {
		return false, nil
	}
	if _, err := l.w.Write(append(raw, '\n')); err != nil {
		return false, fmt.Errorf("eventlog: write: %w", err)
	}
	return true, nil
}

// Reader reads a recording, which may come from anybody.
type Reader struct {
	Header Header

	s       *bufio.Scanner
	line    int
	last    uint64
	records uint64
	footer  *Footer
	skipped uint64
}

// NewReader reads the header of a recording.
func NewReader(r io.Reader) (*Reader, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 4<<10), MaxLine)
	rd := &Reader{s: s}
	if !s.Scan() {
		return nil, rd.ended("a recording")
	}
	rd.line = 1
	if err := json.Unmarshal(s.Bytes(), &rd.Header); err != nil || rd.Header.Format != Format {
		return nil, fmt.Errorf("eventlog: line 1 is not the header of a recording: want {\"v\":%d,\"format\":%q,…}", Version, Format)
	}
	h := &rd.Header
	if h.V != Version {
		return nil, fmt.Errorf("eventlog: a recording of version %d, this program reads %d", h.V, Version)
	}
	h.Agent, h.Node, h.Network, h.Wire = peer.Clean(h.Agent), peer.Clean(h.Node), peer.Clean(h.Network), peer.Clean(h.Wire)
	return rd, nil
}

// Next gives the next record. io.EOF is the end: Footer tells whether the
// recording was ended in order. Events of unknown kinds are passed over.
func (r *Reader) Next() (Record, error) {
	for {
		if r.footer != nil {
			return Record{}, io.EOF
		}
		if !r.s.Scan() {
			if r.s.Err() == nil {
				return Record{}, io.EOF
			}
			return Record{}, r.ended("a record")
		}
		r.line++
		raw := r.s.Bytes()
		var f Footer
		if json.Unmarshal(raw, &f) == nil && f.End != "" {
			if err := r.end(f); err != nil {
				return Record{}, err
			}
			continue
		}
		rec, err := Parse(raw)
		switch {
		case errors.Is(err, ErrUnknownEvent):
			r.skipped++
			r.records++
			continue
		case err != nil:
			return Record{}, fmt.Errorf("line %d: %w", r.line, err)
		case rec.ID <= r.last:
			return Record{}, fmt.Errorf("eventlog: line %d: record %d comes after record %d", r.line, rec.ID, r.last)
		}
		r.last = rec.ID
		r.records++
		return rec, nil
	}
}

// end takes the footer: nothing may come after it, and its count has to be right.
func (r *Reader) end(f Footer) error {
	if f.V != Version || f.Records != r.records {
		return fmt.Errorf("eventlog: line %d: the footer tells of %d records in version %d, there are %d", r.line, f.Records, f.V, r.records)
	}
	if r.s.Scan() {
		return fmt.Errorf("eventlog: line %d: something comes after the footer", r.line+1)
	}
	f.End = peer.Clean(f.End)
	r.footer = &f
	return r.s.Err()
}

// Footer is the last line; false if the recording ends without one, as that of
// a node which was killed does.
func (r *Reader) Footer() (Footer, bool) {
	if r.footer == nil {
		return Footer{}, false
	}
	return *r.footer, true
}

// Skipped counts the events of unknown kinds.
func (r *Reader) Skipped() uint64 { return r.skipped }

func (r *Reader) ended(what string) error {
	err := r.s.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("eventlog: line %d has more than %d bytes", r.line+1, MaxLine)
	case err != nil:
		return fmt.Errorf("eventlog: read %s: %w", what, err)
	}
	return errors.New("eventlog: the recording is empty")
}
