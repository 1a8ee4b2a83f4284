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
	if err := makeDatadir(path); err != nil {
		return nil, err
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
		return nil, unusable(path, err)
	case strings.TrimSpace(string(have)) != datadirVersion:
		return nil, fmt.Errorf("datadir %s is of version %.40q, this program reads %q; use a program that knows it, or another folder", path, strings.TrimSpace(string(have)), datadirVersion)
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, unusable(path, err)
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
		if err := writeVersion(versionFile); err != nil {
			return nil, errors.Join(unusable(path, err), d.Close())
		}
	}
	for _, sub := range []string{"keys", "peers"} {
		if err := os.MkdirAll(d.Sub(sub), 0o700); err != nil {
			return nil, errors.Join(unusable(path, err), d.Close())
		}
	}
	return d, nil
}

// makeDatadir makes the folder where there is none, and refuses one in which
// everybody can put files of their own in the place of ours.
func makeDatadir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return unusable(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return unusable(path, err)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("datadir %s can be written by everybody (mode %04o); run: chmod 700 %s", path, mode, path)
	}
	return nil
}

func unusable(path string, err error) error {
	return fmt.Errorf("datadir %s: %w; make the folder usable for this user, or choose another datadir", path, err)
}

// writeVersion makes the VERSION file, whole or not at all.
func writeVersion(path string) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(datadirVersion + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// Sub is the path of something in the datadir.
func (d *Datadir) Sub(name ...string) string {
	return filepath.Join(append([]string{d.Path}, name...)...)
}

// Close lets the folder go.
func (d *Datadir) Close() error { return d.lock.Close() }

// ours reports whether a datadir without VERSION may hold a name already.
func ours(name string) bool {
	switch name {
	case "config.toml", "config.json", "genesis.json", staticNodesFile, trustedNodesFile, "LOCK", "keys", "VERSION", "VERSION.tmp":
		return true
	}
	return false
}

// foreign names something in a folder that is not ours, if there is anything.
func foreign(path string) (string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", unusable(path, err)
	}
	for _, e := range entries {
		if !ours(e.Name()) {
			return e.Name(), nil
		}
	}
	return "", nil
}

// SocketPath is where a node with that datadir answers calls.
func SocketPath(datadir string) string { return filepath.Join(datadir, "starling.sock") }
