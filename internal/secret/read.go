package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Read reads a file of at most most bytes that only its owner can use. One that
// is not there gives an error that is fs.ErrNotExist. It blocks on the disk.
func Read(path string, most int) ([]byte, error) {
	// O_NOFOLLOW refuses a symlink at the moment of opening, so what is checked
	// is what is read; O_NONBLOCK keeps a FIFO from holding us.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	if err != nil {
		return nil, failed(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, failed(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; name the file itself", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o and can be used by others; run: chmod 600 %[1]s", path, mode)
	}
	content, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, failed(path, err)
	}
	if len(content) > most {
		return nil, fmt.Errorf("%s has more than the %d bytes that are expected of it; restore it from a backup", path, most)
	}
	return content, nil
}

// ReadOrCreate is Read, and makes the file first if it is not there, with the
// content that fresh gives, and its folder with mode 0700. A folder that
// everybody can write to is refused.
func ReadOrCreate(path string, most int, fresh func() ([]byte, error)) ([]byte, error) {
	if err := ownFolder(path); err != nil {
		return nil, err
	}
	content, err := Read(path, most)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if content, err = fresh(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := Create(path, content); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return Read(path, most) // ours, or that of whoever was faster
}

// failed is an error of the system, with the path once and in front.
func failed(path string, err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
