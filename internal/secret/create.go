package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Create writes a new file of mode 0600, whole or not at all. If there is one of
// that name it is left as it is, and the error is fs.ErrExist. The folder must
// be there. It blocks on the disk. On a file system without hard links (FAT, some
// network ones) a crash in the middle may leave a part of it.
func Create(path string, content []byte) error { return create(path, content, os.Link) }

func create(path string, content []byte, link func(from, to string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return failed(path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return failed(path, err)
	}
	// A link fails where a rename would write over what is there.
	err = link(f.Name(), path)
	if noLinks(err) {
		err = writeNew(path, content)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is left as it is (%w); choose another name", path, fs.ErrExist)
	}
	if err != nil {
		return failed(path, err)
	}
	return syncFolder(dir)
}

// noLinks reports whether a link failed since the file system has none (link(2)).
func noLinks(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS)
}

// writeNew writes a file that is not there, and takes it away if that fails.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return failed(dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return failed(dir, err)
	}
	return nil
}

// ownFolder makes the folder of a file with mode 0700. Others may replace the
// file in a folder that they can write to, whatever mode it has itself.
func ownFolder(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed(dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return failed(dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 {
		return fmt.Errorf("%s is in a folder of mode %04o that everybody can write to; run: chmod 700 %s", path, mode, dir)
	}
	return nil
}
