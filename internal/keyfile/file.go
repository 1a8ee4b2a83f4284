package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxFile bounds a file that is read, in bytes.
const maxFile = 16 << 10

// ReadFile reads a small file that only its owner can read. It refuses links
// and files that others can read.
func ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("keyfile: %s is a symbolic link; name the file itself", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("keyfile: %s does not exist; make a key with \"starling key new %[1]s\"", path)
	case err != nil:
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("keyfile: %s is no regular file; name the file itself", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("keyfile: %s has mode %04o and can be read by others; run: chmod 600 %s", path, mode, path)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("keyfile: %s has more than %d bytes and is no key", path, maxFile)
	}
	return raw, nil
}

// Create writes a new file of mode 0600, whole or not at all, and fails if
// there is one of that name. Its folder must be there.
func Create(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keyfile: %w; choose a folder that is there and can be written", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keyfile: %s: %w", path, err)
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keyfile: %s exists already and is left as it is; choose another name", path)
	}
	if err != nil {
		return fmt.Errorf("keyfile: %s: %w", path, err)
	}
	return nil
}
