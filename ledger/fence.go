package ledger

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// retryEvery paces the writes of tables that fail.
const retryEvery = 100 * time.Millisecond

// errFenced is what a database that was given up gets for a write of a table.
var errFenced = errors.New("the database was given up after a write error")

// fence is the file system of one opening of the database. It exists because
// Pebble does not survive a failed write to its log or manifest: it ends the
// process, at worst by unlocking what is not locked, which no recover stops.
// So such a write does not return an error: it is noted and then waits, which
// freezes the opening while reads go on. When the store has given the opening
// up it shuts the fence: the write then pretends to have worked, as does each
// after it, nothing reaches the disk any more, and Pebble can close. Nothing
// that such an opening says is believed.
//
// Failed writes of tables are Pebble's to repeat, and pass as they are.
type fence struct {
	vfs.FS
	shut     chan struct{} // closed when the opening is given up
	once     sync.Once
	troubled chan struct{} // closed by the first failed write

	mu    sync.Mutex
	first error // of the failed writes
	hard  bool  // one of them was to a log or a manifest, which Pebble does not survive
}

func newFence(fs vfs.FS) *fence {
	return &fence{FS: fs, shut: make(chan struct{}), troubled: make(chan struct{})}
}

// close shuts the fence.
func (f *fence) close() { f.once.Do(func() { close(f.shut) }) }

func (f *fence) isShut() bool {
	select {
	case <-f.shut:
		return true
	default:
		return false
	}
}

// fail notes a failed write.
func (f *fence) fail(err error, hard bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first = err
		close(f.troubled)
	}
	f.hard = f.hard || hard
}

// trouble is the first failed write, and whether the database survives it.
func (f *fence) trouble() (err error, hard bool, c <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first, f.hard, f.troubled
}

// clear forgets failed writes that Pebble repeats by itself.
func (f *fence) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first != nil && !f.hard {
		f.first, f.troubled = nil, make(chan struct{})
	}
}

// write runs a write to a file of the given name. pretended says that it was
// not done and that nobody is to know.
func (f *fence) write(name string, op func() error) (pretended bool, err error) {
	again := repeated(name)
	if !f.isShut() {
		err := op()
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		f.fail(err, !again)
		if again { // Pebble repeats it at once
			t := time.NewTimer(retryEvery)
			defer t.Stop()
			select {
			case <-t.C:
			case <-f.shut:
			}
			return false, err
		}
		<-f.shut
	}
	if again {
		return false, errFenced
	}
	return true, nil
}

// repeated reports whether Pebble repeats failed writes to the file: those of
// flushes and compactions.
func repeated(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, c) })
}

// OpenDir opens a directory to sync it.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *fence) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	pretended, err := f.write(name, func() (err error) { file, err = open(); return err })
	if err != nil {
		return nil, err
	}
	if pretended {
		file = vfs.NewMemFile(nil) // for Stat and Close
	}
	return &fencedFile{File: file, fence: f, name: name}, nil
}

func (f *fence) Link(from, to string) error {
	_, err := f.write(to, func() error { return f.FS.Link(from, to) })
	return err
}

func (f *fence) Rename(from, to string) error {
	_, err := f.write(to, func() error { return f.FS.Rename(from, to) })
	return err
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	_, err := f.write(dir, func() error { return f.FS.MkdirAll(dir, perm) })
	return err
}

// Remove and RemoveAll only tidy up: their failures are Pebble's to count.
func (f *fence) Remove(name string) error {
	if f.isShut() {
		return nil
	}
	return f.FS.Remove(name)
}

func (f *fence) RemoveAll(name string) error {
	if f.isShut() {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// Lock does nothing: the Ledger holds the lock of the directory above.
func (f *fence) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap is what vfs.Root needs.
func (f *fence) Unwrap() vfs.FS { return f.FS }

type fencedFile struct {
	vfs.File
	fence *fence
	name  string
}

func (f *fencedFile) Write(p []byte) (n int, err error) {
	pretended, err := f.fence.write(f.name, func() error { n, err = f.File.Write(p); return err })
	if pretended {
		n = len(p)
	}
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	pretended, err := f.fence.write(f.name, func() error { n, err = f.File.WriteAt(p, off); return err })
	if pretended {
		n = len(p)
	}
	return n, err
}

func (f *fencedFile) Sync() error {
	_, err := f.fence.write(f.name, f.File.Sync)
	return err
}

func (f *fencedFile) SyncData() error {
	_, err := f.fence.write(f.name, f.File.SyncData)
	return err
}

func (f *fencedFile) SyncTo(n int64) (full bool, err error) {
	_, err = f.fence.write(f.name, func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// Preallocate only helps: its failure is no trouble.
func (f *fencedFile) Preallocate(off, n int64) error {
	if f.fence.isShut() {
		return nil
	}
	return f.File.Preallocate(off, n)
}
