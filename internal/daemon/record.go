package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/rpc"
)

// maxRecordings bounds the recordings that a datadir holds.
const maxRecordings = 32

// RecordReply answers starling_record and starling_recordStop.
type RecordReply struct {
	V       int       `json:"v"`
	File    string    `json:"file"`
	Running bool      `json:"running"`
	Until   time.Time `json:"until,omitzero"` // while it runs: when it ends at the latest
	Bytes   int64     `json:"bytes"`          // of the file: now, or while it runs at most
	Records uint64    `json:"records"`        // once it has ended
	Missed  uint64    `json:"missed"`
	End     string    `json:"end,omitempty"`
	Error   string    `json:"error,omitempty"`
}

// recorder writes recordings of the node's events into the datadir, one at a time.
type recorder struct {
	dir    string
	events *eventlog.Log
	header func() eventlog.Header
	log    *slog.Logger

	mu     sync.Mutex // a leaf
	last   *RecordReply
	cancel context.CancelFunc
	done   chan struct{} // closed when the recording under way has ended; nil: there was none
	closed bool
}

// start begins a recording. One that has no duration has ended when it returns.
func (r *recorder) start(limits eventlog.Limits) (RecordReply, error) {
	if err := limits.Check(); err != nil {
		return RecordReply{}, rpc.BadParams("%v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return RecordReply{}, errors.New("the node is stopping")
	case r.last != nil && r.last.Running:
		return RecordReply{}, fmt.Errorf("a recording into %s is under way until %s; end it first (starling_recordStop)", r.last.File, r.last.Until.Format(time.RFC3339))
	}
	f, path, err := r.create()
	if err != nil {
		return RecordReply{}, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	reply := &RecordReply{V: 1, File: path, Running: true, Until: time.Now().Add(limits.For).UTC().Round(0), Bytes: limits.Bytes}
	if limits.Bytes == 0 {
		reply.Bytes = eventlog.DefaultRecordBytes
	}
	r.last, r.cancel, r.done = reply, cancel, make(chan struct{})
	go r.write(ctx, f, limits, r.done)
	return *reply, nil
}

func (r *recorder) write(ctx context.Context, f *os.File, limits eventlog.Limits, done chan struct{}) {
	defer close(done)
	foot, err := r.events.WriteRecording(ctx, f, r.header(), limits)
	var size int64
	if info, serr := f.Stat(); serr == nil {
		size = info.Size()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		r.log.Warn("a recording failed", "err", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel()
	out := *r.last
	out.Running, out.Until, out.Bytes, out.Records, out.Missed, out.End = false, time.Time{}, size, foot.Records, foot.Missed, foot.End
	if err != nil {
		out.Error = err.Error()
	}
	r.last = &out
}

// create makes the file. Its name is ours; nobody else reads it.
func (r *recorder) create() (*os.File, string, error) {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, "", unusable(r.dir, err)
	}
	have, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, "", unusable(r.dir, err)
	}
	if len(have) >= maxRecordings {
		return nil, "", fmt.Errorf("%s holds %d files already, at most %d recordings are kept; remove those that are no longer needed", r.dir, len(have), maxRecordings)
	}
	for i := range maxRecordings + 1 {
		name := "events-" + time.Now().UTC().Format("20060102T150405Z")
		if i > 0 {
			name += fmt.Sprintf("-%d", i)
		}
		path := filepath.Join(r.dir, name+".jsonl")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, "", unusable(r.dir, err)
		}
		return f, path, nil
	}
	return nil, "", fmt.Errorf("no free name for a recording in %s", r.dir)
}

// wait gives what the last recording has come to, once it has ended or ctx has.
func (r *recorder) wait(ctx context.Context) (RecordReply, bool) {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done == nil {
		return RecordReply{}, false
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.last, true
}

// stop ends the recording under way, if there is one.
func (r *recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
}

// close ends it for good, and waits for it.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.wait(context.Background())
}

func (n *Node) recordHeader() eventlog.Header {
	return eventlog.Header{
		Agent: "starling/" + Version, Node: string(n.stack.wire.Self()),
		Network: n.stack.chain.Status().Network, Wire: n.stack.wire.Caps().Name,
	}
}

// callRecord takes seconds (0: only what the node remembers now) and a size in
// bytes (0: 16 MiB).
func (n *Node) callRecord(ctx context.Context, params json.RawMessage) (any, error) {
	var seconds, bytes int64
	if err := rpc.Params(params, &seconds, &bytes); err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > int64(eventlog.MaxRecordFor/time.Second) {
		return nil, rpc.BadParams("a recording of %d seconds, want 0 to %d", seconds, int64(eventlog.MaxRecordFor/time.Second))
	}
	reply, err := n.recorder.start(eventlog.Limits{Bytes: bytes, For: time.Duration(seconds) * time.Second})
	if err != nil || seconds > 0 {
		return reply, err
	}
	reply, _ = n.recorder.wait(ctx)
	return reply, nil
}

// callRecordStop ends the recording under way and tells what it has come to.
func (n *Node) callRecordStop(ctx context.Context, _ json.RawMessage) (any, error) {
	n.recorder.stop()
	reply, ok := n.recorder.wait(ctx)
	if !ok {
		return nil, errors.New("there was no recording since the node's start; starling_record begins one")
	}
	return reply, nil
}
