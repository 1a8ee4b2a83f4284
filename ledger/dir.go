package ledger

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
)

// The entries of a ledger's directory, beside the backups of migrations.
const (
	schemaFile = "SCHEMA"
	schemaTemp = "SCHEMA.tmp"
	lockFile   = "LOCK"
	dbDir      = "db"
	backupName = "backup-schema-" // and the number
)

const schemaPrefix = "starling ledger schema "

// schema is the version of the key space that a program writes, with the steps
// to it from older ones.
type schema struct {
	version int
	// steps[n] rewrites version n to n+1. A step is repeated from its start
	// after a crash, so it must bear its own half-done work.
	steps map[int]func(*pebble.DB) error
}

// currentSchema is the one of keys.go.
func currentSchema() schema { return schema{version: 1} }

// directory is a claimed directory.
type directory struct {
	fs   vfs.FS
	path string
	lock io.Closer
}

// claim takes dir, which it creates where there is none. It changes nothing in
// a directory that is not ours.
func claim(fs vfs.FS, path string) (_ *directory, fresh bool, err error) {
	names, err := fs.List(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := makeDir(fs, path); err != nil {
			return nil, false, fmt.Errorf("ledger: create %s: %w", path, err)
		}
	case err != nil:
		return nil, false, fmt.Errorf("ledger: list %s: %w", path, err)
	}
	fresh = true
	for _, n := range names {
		fresh = fresh && n != schemaFile
	}
	if fresh {
		for _, n := range names {
			if n != lockFile && n != schemaTemp {
				return nil, false, &ForeignError{Dir: path, Entry: n}
			}
		}
	}
	lock, err := fs.Lock(fs.PathJoin(path, lockFile))
	if err != nil {
		// A path in the error tells of the file, anything else of the lock.
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			return nil, false, fmt.Errorf("ledger: lock %s: %w", path, err)
		}
		if errors.Is(err, syscall.EIO) || isFull(err) {
			return nil, false, ioError("lock "+path, err)
		}
		return nil, false, &LockedError{Dir: path, Err: err}
	}
	return &directory{fs: fs, path: path, lock: lock}, fresh, nil
}

// makeDir makes path and syncs the directory above, so that it outlives a
// power loss.
func makeDir(fs vfs.FS, path string) error {
	if err := fs.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(path))
}

func syncDir(fs vfs.FS, path string) error {
	d, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (d *directory) join(name string) string { return d.fs.PathJoin(d.path, name) }

func (d *directory) close() error { return d.lock.Close() }

// writeSchema replaces the schema file; it is the old one or the new one after
// a power loss.
func (d *directory) writeSchema(version int) error {
	tmp := d.join(schemaTemp)
	f, err := d.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return ioError("write schema", err)
	}
	_, err = fmt.Fprintf(f, "%s%d\n", schemaPrefix, version)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.fs.Rename(tmp, d.join(schemaFile))
	}
	if err == nil {
		err = syncDir(d.fs, d.path)
	}
	return ioError("write schema", err)
}

func (d *directory) readSchema() (int, error) {
	f, err := d.fs.Open(d.join(schemaFile))
	if err != nil {
		return 0, ioError("read schema", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, ioError("read schema", err)
	}
	text, ok := strings.CutPrefix(string(b), schemaPrefix)
	digits, end := strings.CutSuffix(text, "\n")
	n, err := strconv.Atoi(digits)
	if !ok || !end || err != nil || n < 1 {
		return 0, corrupt("%s says %q, which names no schema", d.join(schemaFile), b)
	}
	return n, nil
}

// migrate brings the database forward to the wanted schema, one step at a
// time, with a backup before each.
func (d *directory) migrate(want schema, log *slog.Logger) error {
	have, err := d.readSchema()
	if err != nil {
		return err
	}
	for v := have; v < want.version; v++ {
		if want.steps[v] == nil {
			return &SchemaError{Dir: d.path, Have: have, Want: want.version}
		}
	}
	if have > want.version {
		return &SchemaError{Dir: d.path, Have: have, Want: want.version}
	}
	for v := have; v < want.version; v++ {
		backup := d.join(backupName + strconv.Itoa(v))
		log.Warn("ledger: migrating", "from", v, "to", v+1, "backup", backup)
		if err := d.step(want.steps[v], backup); err != nil {
			return fmt.Errorf("ledger: migrate %s from schema %d to %d: %w; the backup is %s", d.path, v, v+1, err, backup)
		}
		if err := d.writeSchema(v + 1); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) step(step func(*pebble.DB) error, backup string) error {
	o := StoreOptions(0)
	o.FS = newFence(d.fs)
	o.Logger = storeLogger{slog.New(slog.DiscardHandler), o.FS.(*fence)}
	return apart(o.FS.(*fence), func() (err error) {
		db, err := pebble.Open(d.join(dbDir), o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		if err := d.backup(db, backup); err != nil {
			return err
		}
		if err := step(db); err != nil {
			return err
		}
		return db.LogData(nil, pebble.Sync)
	})
}

// backup makes a checkpoint under the given name. One that is there already is
// whole, since it appears by a rename, and is kept: after a crash in a step the
// database is no longer the one to keep.
func (d *directory) backup(db *pebble.DB, name string) error {
	if _, err := d.fs.Stat(name); err == nil {
		return nil
	}
	tmp := name + ".tmp"
	if err := d.fs.RemoveAll(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := db.Checkpoint(tmp, pebble.WithFlushedWAL()); err != nil {
		return err
	}
	if err := d.fs.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

// checkSpec compares what is stored of the network with what is asked for.
func checkSpec(dir string, have storedSpec, want Spec) error {
	if have.network != want.Network || have.genesis != want.Genesis.Header.Ref {
		return &GenesisError{
			Dir:         dir,
			HaveNetwork: have.network, WantNetwork: want.Network,
			HaveGenesis: have.genesis.Hash, WantGenesis: want.Genesis.Header.Ref.Hash,
		}
	}
	return nil
}

// storedSpec is what a directory remembers of its Spec.
type storedSpec struct {
	network string
	genesis chain.Ref
	rules   []Rule // by name
}
