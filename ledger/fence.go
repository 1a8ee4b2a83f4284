package ledger

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// errFenced is what a database that was given up gets for a write.
var errFenced = errors.New("the database was given up after a write error")

// fence is the file system of one opening of the database. It notices the
// first write that fails, and once it is shut nothing more is written through
// it, so that an opening which Pebble can no longer close does no harm to the
// next one.
type fence struct {
	vfs.FS
	shut     atomic.Bool
	troubled chan struct{} // closed by the first failed write

	mu    sync.Mutex
	first error // of the failed writes
	hard  bool  // one of them was to a log or a manifest, which Pebble does not survive
}

func newFence(fs vfs.FS) *fence { return &fence{FS: fs, troubled: make(chan struct{})} }

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

// write runs a write to a file of the given name, unless the fence is shut.
func (f *fence) write(name string, op func() error) error {
	if f.shut.Load() {
		return errFenced
	}
	err := op()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.fail(err, !repeated(name))
	}
	return err
}

// repeated reports whether Pebble repeats failed writes to the file: those of
// flushes and compactions.
func repeated(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

func (f *fence) Create(name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.write(name, func() error { file, err = f.FS.Create(name, c); return err })
	return f.wrap(name, file, err)
}

func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (file vfs.File, err error) {
	err = f.write(name, func() error { file, err = f.FS.OpenReadWrite(name, c, o...); return err })
	return f.wrap(name, file, err)
}

func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (file vfs.File, err error) {
	err = f.write(name, func() error { file, err = f.FS.ReuseForWrite(old, name, c); return err })
	return f.wrap(name, file, err)
}

func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.wrap(name, file, err)
}

func (f *fence) wrap(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &fencedFile{File: file, fence: f, name: name}, nil
}

func (f *fence) Link(from, to string) error {
	return f.write(to, func() error { return f.FS.Link(from, to) })
}

func (f *fence) Rename(from, to string) error {
	return f.write(to, func() error { return f.FS.Rename(from, to) })
}

func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.write(dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// Remove and RemoveAll only tidy up: their failures are Pebble's to count.
func (f *fence) Remove(name string) error {
	if f.shut.Load() {
		return errFenced
	}
	return f.FS.Remove(name)
}

func (f *fence) RemoveAll(name string) error {
	if f.shut.Load() {
		return errFenced
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
	err = f.fence.write(f.name, func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *fencedFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.fence.write(f.name, func() error { n, err = f.File.WriteAt(p, off); return err })
	return n, err
}

func (f *fencedFile) Sync() error { return f.fence.write(f.name, f.File.Sync) }

func (f *fencedFile) SyncData() error { return f.fence.write(f.name, f.File.SyncData) }

func (f *fencedFile) SyncTo(n int64) (full bool, err error) {
	err = f.fence.write(f.name, func() error { full, err = f.File.SyncTo(n); return err })
	return full, err
}
