// Package raw is the baseline of syncs: the plainest program that brings a
// database from one end of a connection to the other and onto the disk. It
// checks nothing. The programs of this module call it, and their own ends are
// the only peers that it has.
package raw

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
)

const (
	rawWrite = 1 << 20 // bytes of one write to the stream
	// rawBatch is how much goes into one batch, as in an import of the ledger;
	// with rawRoom more the batch's memory is used again.
	rawBatch = 832 << 10
	rawRoom  = 128 << 10
)

// secure puts Noise and yamux on a connection.
func secure(ctx context.Context, c net.Conn, server bool) (network.MuxedConn, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := noise.New(noise.ID, key, nil)
	if err != nil {
		return nil, err
	}
	anybody, err := t.WithSessionOptions(noise.DisablePeerIDCheck())
	if err != nil {
		return nil, err
	}
	var s net.Conn
	if server {
		s, err = anybody.SecureInbound(ctx, c, "")
	} else {
		s, err = anybody.SecureOutbound(ctx, c, "")
	}
	if err != nil {
		return nil, err
	}
	return yamux.DefaultTransport.NewConn(s, server, nil)
}

// Serve sends all that is in the database of a folder to whoever connects, until
// ctx ends. ready is told where.
func Serve(ctx context.Context, dir string, ready func(addr string)) error {
	db, err := Open(dir)
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	ready(l.Addr().String())
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := sendAll(ctx, db, c); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func sendAll(ctx context.Context, db *pebble.DB, c net.Conn) error {
	defer c.Close()
	mux, err := secure(ctx, c, true)
	if err != nil {
		return err
	}
	defer mux.Close()
	s, err := mux.AcceptStream()
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(s, rawWrite)
	_, err = Scan(db, func(k, v []byte) error {
		var head [8]byte
		binary.BigEndian.PutUint32(head[:], uint32(len(k)))
		binary.BigEndian.PutUint32(head[4:], uint32(len(v)))
		w.Write(head[:])
		w.Write(k)
		_, err := w.Write(v) // its error stays with the writer
		return err
	})
	if err != nil {
		return err
	}
	var end [8]byte
	w.Write(end[:])
	if err := w.Flush(); err != nil {
		return err
	}
	s.CloseWrite()
	io.Copy(io.Discard, s) // until the other side has it
	return nil
}

// Job says what is received.
type Job struct {
	Dir     string // of the database that is filled
	Addr    string // of the server
	Bytes   int    // keys and values that there are
	Imports []int  // blocks of each synced commit of a ledger: it syncs as often
	Ahead   bool   // it receives while it commits
}

// Result is what that took.
type Result struct {
	Seconds, Storing float64
	Synced           []int // bytes so far, at each synced commit
}

// Sync receives a database and stores it.
func Sync(ctx context.Context, job Job) (r Result, err error) {
	db, err := Open(job.Dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := time.Now()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", job.Addr)
	if err != nil {
		return r, err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	mux, err := secure(ctx, c, false)
	if err != nil {
		return r, err
	}
	defer mux.Close()
	s, err := mux.OpenStream(ctx)
	if err != nil {
		return r, err
	}
	in := &storing{db: db, in: bufio.NewReaderSize(s, 64<<10), marks: syncMarks(job)}
	store := func() error { return in.run(in.commit) }
	if job.Ahead {
		store = in.runAhead
	}
	if err := store(); err != nil {
		return r, err
	}
	r.Seconds = time.Since(began).Seconds()
	r.Synced, r.Storing = in.synced, in.took.Seconds()
	if in.got != job.Bytes {
		return r, fmt.Errorf("bench: received %d bytes, want %d", in.got, job.Bytes)
	}
	return r, nil
}

// syncMarks are the bytes after which the baseline syncs: where the ledger did.
func syncMarks(job Job) []int {
	blocks := 0
	for _, n := range job.Imports {
		blocks += n
	}
	marks := make([]int, 0, len(job.Imports))
	done := 0
	for _, n := range job.Imports {
		done += n
		marks = append(marks, int(float64(job.Bytes)*float64(done)/float64(blocks)))
	}
	return marks
}

// storing puts a stream of records into a database.
type storing struct {
	db     *pebble.DB
	in     *bufio.Reader
	marks  []int // ascending
	got    int   // bytes of keys and values
	synced []int // bytes at each sync
	took   time.Duration
}

// full is a batch to be committed.
type full struct {
	batch *pebble.Batch
	sync  bool
	upTo  int // bytes received so far
}

// commit stores a batch.
func (s *storing) commit(f full) error {
	began := time.Now()
	err := f.batch.Commit(&pebble.WriteOptions{Sync: f.sync})
	s.took += time.Since(began)
	if f.sync {
		s.synced = append(s.synced, f.upTo)
	}
	return errors.Join(err, f.batch.Close())
}

// runAhead is run that goes on receiving while a batch is committed.
func (s *storing) runAhead() error {
	batches := make(chan full, 1)
	done := make(chan error, 1)
	go func() {
		var err error
		for f := range batches {
			if err == nil {
				err = s.commit(f)
			}
		}
		done <- err
	}()
	err := s.run(func(f full) error { batches <- f; return nil })
	close(batches)
	return errors.Join(err, <-done)
}

// run receives until the end of the stream and hands batches to commit.
func (s *storing) run(commit func(full) error) error {
	batch := s.db.NewBatchWithSize(rawBatch + rawRoom)
	open := 0
	flush := func(sync bool) error {
		f := full{batch, sync, s.got}
		batch, open = s.db.NewBatchWithSize(rawBatch+rawRoom), 0
		return commit(f)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(s.in, head[:]); err != nil {
			return err
		}
		klen, vlen := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		if klen == 0 {
			return flush(true)
		}
		if klen > 1<<10 || vlen > 1<<24 {
			return fmt.Errorf("bench: record of %d and %d bytes", klen, vlen)
		}
		op := batch.SetDeferred(int(klen), int(vlen))
		if _, err := io.ReadFull(s.in, op.Key); err != nil {
			return err
		}
		if _, err := io.ReadFull(s.in, op.Value); err != nil {
			return err
		}
		if err := op.Finish(); err != nil {
			return err
		}
		n := int(klen + vlen)
		s.got, open = s.got+n, open+n
		var err error
		if len(s.marks) > 1 && s.got >= s.marks[0] { // the last sync is at the end
			s.marks = s.marks[1:]
			err = flush(true)
		} else if open >= rawBatch {
			err = flush(false)
		}
		if err != nil {
			return err
		}
	}
}
