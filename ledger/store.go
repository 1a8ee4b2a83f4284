package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
)

const (
	memTableBytes = 32 << 20
	memTables     = 4 // writers wait for a flush beyond these
	// reserveBytes is what a commit leaves free: logged values are written a
	// second time when a memtable is flushed.
	reserveBytes = 2 * memTableBytes
	// patience is how long a commit waits for Pebble once a write has failed.
	patience = 2 * time.Second
	// flushTime is how long Close waits for the log to be flushed.
	flushTime = time.Second
)

// StoreOptions are the options under which a Ledger opens Pebble, for
// measurements that need the same. cacheBytes is the block cache; 0 is Pebble's
// default.
//
// Values are not separated from keys: blocks are keyed by number, so that a
// growing chain is appended and compactions move its files as they are.
// Measured, separation wins nothing, and Pebble 2.1.7 panics on a damaged blob.
func StoreOptions(cacheBytes int64) *pebble.Options {
	o := &pebble.Options{
		FormatMajorVersion:          pebble.FormatWALSyncChunks,
		CacheSize:                   cacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTables,
		BytesPerSync:                1 << 20,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].BlockSize = 16 << 10
	}
	o.Experimental.SpanPolicyFunc = splitAtBlocks
	// Bodies are signatures and hashes to a good part, and the network is not
	// slower than a codec.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	return o
}

// splitAtBlocks ends a table where the blocks begin and where they end. A table
// that reached over into state or index would overlap all blocks before or
// after it, and compactions would rewrite those each time.
func splitAtBlocks(start []byte) (pebble.SpanPolicy, []byte, error) {
	switch {
	case len(start) == 0 || start[0] < keyBlock:
		return pebble.SpanPolicy{}, []byte{keyBlock}, nil
	case start[0] == keyBlock:
		return pebble.SpanPolicy{}, []byte{keyBlock + 1}, nil
	}
	return pebble.SpanPolicy{}, nil, nil
}

// store is the database with its failures. Readers are many, of writers there
// is one at a time. Pebble ends the process when it cannot write its log or
// its manifest; here it is given up instead and opened again, first for reads.
type store struct {
	fs    vfs.FS
	dir   string
	cache *pebble.Cache
	log   *slog.Logger

	mu       sync.RWMutex // held by readers while they read, to keep db open
	db       *pebble.DB   // nil: closed, see gone
	gone     error
	fence    *fence
	readOnly bool

	pending chan error // a commit that did not end in time; the writer's own
}

func openStore(fs vfs.FS, dir string, cacheBytes int64, log *slog.Logger) (*store, error) {
	if cacheBytes == 0 {
		cacheBytes = 32 << 20
	}
	s := &store{fs: fs, dir: dir, log: log, cache: pebble.NewCache(cacheBytes)}
	db, fence, err := s.open(false)
	if err != nil {
		s.cache.Unref()
		return nil, openError(dir, err)
	}
	s.db, s.fence = db, fence
	return s, nil
}

// open opens Pebble on a goroutine of its own, since Pebble may end it.
func (s *store) open(readOnly bool) (*pebble.DB, *fence, error) {
	fence := newFence(s.fs)
	o := StoreOptions(0)
	o.FS, o.Cache, o.ReadOnly = fence, s.cache, readOnly
	o.Logger = storeLogger{s.log, fence}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { s.log.Warn("storage: background write failed", "err", err) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.log.Error("storage: corrupt file", "path", i.Path, "err", i.Details, "hint", repair)
		},
	}
	var db *pebble.DB
	err := apart(fence, func() (err error) {
		db, err = pebble.Open(s.dir, o)
		return err
	})
	if err != nil {
		if db != nil { // opened on pretended writes
			s.end(db, fence)
		}
		return nil, nil, err
	}
	return db, fence, nil
}

// apart runs op, which uses the fence, on a goroutine of its own and waits for
// it. It shuts the fence where a write fails that op would not survive, and
// reports that.
func apart(f *fence, op func() error) error {
	done := start(op)
	_, _, troubled := f.trouble()
	for {
		select {
		case err := <-done:
			cause, hard, _ := f.trouble()
			if err == nil && !hard {
				return nil
			}
			f.close()
			if cause != nil {
				return fmt.Errorf("%w (%v)", cause, err)
			}
			return err
		case <-troubled:
			if _, hard, _ := f.trouble(); hard {
				f.close()
			}
			troubled = nil
		}
	}
}

// start runs op on a goroutine of its own. A panic, or the end of that
// goroutine, is an error.
func start(op func() error) chan error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("the database stopped")
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("the database stopped: %v", r)
			}
			done <- err
		}()
		err = op()
	}()
	return done
}

// storeLogger passes what Pebble says on. Its Fatalf ends the goroutine
// instead of the process.
type storeLogger struct {
	log   *slog.Logger
	fence *fence
}

func (l storeLogger) Infof(format string, args ...any) {}

func (l storeLogger) Errorf(format string, args ...any) {
	l.log.Warn("storage", "err", fmt.Sprintf(format, args...))
}

func (l storeLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if !l.fence.isShut() {
		l.log.Error("storage: the database cannot go on; it will be opened again", "err", err)
	}
	l.fence.fail(err, true)
	runtime.Goexit()
}

// read runs fn with the database kept open.
func (s *store) read(fn func(*pebble.DB) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return s.gone
	}
	return fn(s.db)
}

// get gives the payload under key in memory of its own, nil where there is none.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, c, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, ioError("read", err)
	}
	defer c.Close()
	payload, err := open(key, v)
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(payload)), payload...), nil
}

// ready prepares for a write of about n bytes: it opens the database again
// where that is due. reopened says that what is stored must be read anew.
func (s *store) ready(n int64) (reopened bool, err error) {
	if s.db == nil && errors.Is(s.gone, ErrClosed) {
		return false, ErrClosed
	}
	cause, hard, _ := s.fence.trouble()
	if s.pending != nil && !hard {
		select {
		case err := <-s.pending:
			s.pending, reopened = nil, true
			if err != nil {
				s.giveUp(err, nil)
				return true, ioError("commit", err)
			}
		default:
			return false, ioError("the last commit still waits", cause)
		}
	}
	if cause == nil && !s.readOnly && s.db != nil {
		return reopened, s.space(n)
	}
	if hard && !s.readOnly && s.db != nil { // it failed in the background
		s.giveUp(cause, s.pending)
		s.pending, reopened = nil, true
	}
	if err := s.space(n); err != nil {
		return reopened, err
	}
	if err := s.probe(); err != nil {
		return reopened, ioError("write", err)
	}
	if !hard && !s.readOnly && s.db != nil {
		s.fence.clear()
		return reopened, nil
	}
	return true, ioError("open again", s.reopen())
}

// space reports chain.ErrFull when too little would be left.
func (s *store) space(n int64) error {
	u, err := s.fs.GetDiskUsage(s.dir)
	if err != nil || u.TotalBytes == 0 {
		return nil // cannot tell; a write will
	}
	if want := min(reserveBytes, u.TotalBytes/8) + uint64(n); u.AvailBytes < want {
		return fmt.Errorf("ledger: %s: %w: %d bytes are free, %d are wanted", s.dir, chain.ErrFull, u.AvailBytes, want)
	}
	return nil
}

// probe finds out whether the disk takes writes.
func (s *store) probe() error {
	name := s.fs.PathJoin(s.dir, "probe.tmp")
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), s.fs.Remove(name))
}

// commit applies b and, where sync is set, waits until it is on the disk. On
// an error nothing is known of b and the database may have been opened again.
func (s *store) commit(b *pebble.Batch, sync bool) error {
	f := s.fence
	_, _, troubled := f.trouble()
	done := start(func() error { return b.Commit(&pebble.WriteOptions{Sync: sync}) })
	var patient <-chan time.Time
	for {
		select {
		case err := <-done:
			cause, hard, _ := f.trouble()
			if hard {
				err = cause
			}
			if err != nil {
				s.giveUp(err, nil)
			}
			return ioError("commit", err)
		case <-troubled:
			troubled = nil
			if cause, hard, _ := f.trouble(); hard {
				s.giveUp(cause, done)
				return ioError("commit", cause)
			}
			// A table could not be written, and Pebble tries again; the commit
			// waits for that only where the memtables are full.
			t := time.NewTimer(patience)
			defer t.Stop()
			patient = t.C
		case <-patient:
			cause, hard, _ := f.trouble()
			if hard {
				s.giveUp(cause, done)
			} else {
				s.pending = done
			}
			return ioError("commit", cause)
		}
	}
}

// giveUp shuts the database out and goes on reading from what it has on disk.
// running is a commit that has not ended, or nil.
func (s *store) giveUp(cause error, running chan error) {
	s.log.Warn("storage: a write failed; reads go on", "err", cause)
	old, oldFence := s.db, s.fence
	oldFence.fail(cause, true)
	oldFence.close()
	db, fence, err := s.open(true)
	s.mu.Lock()
	if err != nil {
		s.log.Warn("storage: cannot be opened for reads", "err", err)
		s.db, s.gone = nil, ioError("open for reads", err)
	} else {
		fence.fail(cause, true)
		s.db, s.fence, s.gone = db, fence, nil
	}
	s.readOnly = true
	s.mu.Unlock()
	if running != nil {
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-running:
		case <-t.C:
		}
	}
	s.end(old, oldFence)
}

// reopen closes what is open and opens it for writes; it falls back to reads.
// Readers wait meanwhile, as long as Pebble takes to replay its log (at most
// what its memtables hold) and to close what was open. Opening beside what is
// read would spare them that, but the new opening deletes and compacts files
// that the old one still reads from.
func (s *store) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		s.fence.close()
		s.end(s.db, s.fence)
		s.db = nil
	}
	db, fence, err := s.open(false)
	if err == nil {
		s.log.Info("storage: writes go on")
		s.db, s.fence, s.readOnly, s.gone = db, fence, false, nil
		return nil
	}
	s.readOnly = true
	ro, fence, roErr := s.open(true)
	if roErr != nil {
		s.gone = ioError("open", errors.Join(err, roErr))
		return err
	}
	fence.fail(err, true)
	s.db, s.fence, s.gone = ro, fence, nil
	return err
}

// end closes db, which may not end by itself after a failure: then it is left
// behind, shut out from the disk.
func (s *store) end(db *pebble.DB, f *fence) error { return s.ended(start(db.Close), f) }

// ended waits for a database to close. Pebble waits for a compaction under way,
// however long that takes: a sound database that is still at one after some
// patience is shut out from the disk too, which ends the compaction. That is as
// a crash would be, and nothing that was acknowledged is lost.
func (s *store) ended(done chan error, f *fence) error {
	cut := false
	t := time.NewTimer(patience)
	defer t.Stop()
	_, _, troubled := f.trouble()
	for {
		select {
		case err := <-done:
			if cut {
				return nil // what it says is of our making
			}
			return err
		case <-troubled:
			troubled = nil
			if cause, hard, _ := f.trouble(); hard && !f.isShut() {
				f.close()
				defer s.log.Warn("storage: closed after a failed write", "err", cause)
			}
		case <-t.C:
			if !f.isShut() {
				f.close()
				cut = true
				s.log.Info("storage: a compaction was cut short to close")
				t.Reset(patience)
				continue
			}
			return errors.New("ledger: the database does not close; it was left behind")
		}
	}
}

// flush writes out what is only in the log, so that after a clean stop nothing
// depends on the log: Pebble takes damage at the log's end for a write that was
// torn, and would silently lose what was acknowledged. A disk that is slow, or
// fails, is not waited for; the log is still there.
func (s *store) flush() {
	t := time.NewTimer(flushTime)
	defer t.Stop()
	_, _, troubled := s.fence.trouble()
	var flushed <-chan struct{} // closed when it is; never if it fails
	begun := start(func() (err error) {
		flushed, err = s.db.AsyncFlush() // which begins another log
		return err
	})
	select {
	case err := <-begun:
		if err != nil {
			s.log.Info("storage: the log was not flushed to close", "err", err)
			return
		}
	case <-t.C:
		return
	case <-troubled:
		return
	}
	select {
	case <-flushed:
	case <-t.C:
		s.log.Info("storage: the log was not flushed to close", "took", flushTime)
	case <-troubled:
	}
}

func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.cache.Unref()
	if s.db == nil {
		s.gone = ErrClosed
		return nil
	}
	cause, hard, _ := s.fence.trouble()
	known := hard || s.readOnly || cause != nil
	if known {
		s.fence.close()
	}
	if !known {
		s.flush()
	}
	err := s.end(s.db, s.fence)
	s.fence.close()
	s.db, s.gone = nil, ErrClosed
	if known {
		return nil // it was reported when it happened, and nothing acknowledged is lost
	}
	return ioError("close", err)
}
