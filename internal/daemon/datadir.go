package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// datadirVersion is the layout of a datadir that this program writes:
// VERSION, LOCK, keys/, chain/, peers/, config.toml.
const datadirVersion = "starling datadir 1"

// Datadir is a node's folder, held by one process.
type Datadir struct {
	Path string
	lock *os.File
}

// OpenDatadir makes the folder or opens it, and locks it. It refuses a folder
// that holds something else, one of a newer layout, and one that another
// process has.
func OpenDatadir(path string) (*Datadir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("datadir: %w", err)
	}
	versionFile := filepath.Join(path, "VERSION")
	have, err := os.ReadFile(versionFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if stranger, err := foreign(path); err != nil {
			return nil, err
		} else if stranger != "" {
			return nil, fmt.Errorf("datadir %s holds %q and no VERSION: it is not a datadir of starling; choose an empty folder", path, stranger)
		}
	case err != nil:
		return nil, fmt.Errorf("datadir: %w", err)
	case strings.TrimSpace(string(have)) != datadirVersion:
		return nil, fmt.Errorf("datadir %s is of version %.40q, this program reads %q; use a program that knows it, or another folder", path, strings.TrimSpace(string(have)), datadirVersion)
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("datadir: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("datadir %s is in use by another process; stop it, or choose another datadir", path)
		}
		return nil, fmt.Errorf("datadir: lock %s: %w", path, err)
	}
	d := &Datadir{Path: path, lock: lock}
	if have == nil {
		if err := os.WriteFile(versionFile, []byte(datadirVersion+"\n"), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("datadir: %w", err), d.Close())
		}
	}
	for _, sub := range []string{"keys", "peers"} {
		if err := os.MkdirAll(d.Sub(sub), 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("datadir: %w", err), d.Close())
		}
	}
	return d, nil
}

// Sub is the path of something in the datadir.
func (d *Datadir) Sub(name ...string) string {
	return filepath.Join(append([]string{d.Path}, name...)...)
}

// Close lets the folder go.
func (d *Datadir) Close() error { return d.lock.Close() }

// ours are the names that a datadir without VERSION may hold already.
var ours = map[string]bool{"config.toml": true, "LOCK": true, "keys": true, "VERSION": true}

// foreign names something in a folder that is not ours, if there is anything.
func foreign(path string) (string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("datadir: %w", err)
	}
	for _, e := range entries {
		if !ours[e.Name()] {
			return e.Name(), nil
		}
	}
	return "", nil
}

// SocketPath is where a node with that datadir answers calls.
func SocketPath(datadir string) string { return filepath.Join(datadir, "starling.sock") }
