package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A file is made once, for its owner alone, and is never written over. Threat
// row S-08.
func TestAFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if _, err := Read(path, 8); !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), path) != 1 {
		t.Errorf("no file gives %v", err)
	}
	if err := Create(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if err := Create(path, []byte("two")); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second Create gave %v", err)
	}
	if raw, err := Read(path, 3); err != nil || string(raw) != "one" {
		t.Errorf("the file holds %q, %v", raw, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v is there, %v", entries, err)
	}
	if err := Create(filepath.Join(path, "below", "k"), nil); err == nil {
		t.Error("a file was made below a file")
	}
}

// Whoever is first makes the file, and all read the same. Threat row S-08.
func TestFirstComerMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "k")
	var got [8]string
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			raw, err := ReadOrCreate(path, 8, func() ([]byte, error) { return fmt.Append(nil, i), nil })
			if err != nil {
				t.Error(err)
			}
			got[i] = string(raw)
		})
	}
	wg.Wait()
	for _, g := range got {
		if g == "" || g != got[0] {
			t.Fatalf("they read %q", got)
		}
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v", info.Mode(), err)
	}
	failure := errors.New("no entropy")
	other := filepath.Join(filepath.Dir(path), "other")
	if _, err := ReadOrCreate(other, 8, func() ([]byte, error) { return nil, failure }); !errors.Is(err, failure) {
		t.Errorf("a failure gives %v", err)
	}
	if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a failure there is a file: %v", err)
	}
}

// What others could use or have put there is refused, with the remedy. Threat
// row S-08.
func TestUnsafeFilesAreRefused(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good")
	if err := Create(good, []byte("key")); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(p string) error{
		"chmod 600":     func(p string) error { return os.WriteFile(p, []byte("key"), 0o640) },
		"symbolic link": func(p string) error { return os.Symlink(good, p) },
		"regular file":  func(p string) error { return os.Mkdir(p, 0o700) },
		"the 8 bytes":   func(p string) error { return os.WriteFile(p, make([]byte, 9), 0o600) },
		"chmod 700": func(p string) error {
			return errors.Join(os.WriteFile(p, []byte("key"), 0o600), os.Chmod(filepath.Dir(p), 0o777))
		},
	} {
		p := filepath.Join(t.TempDir(), "d", "k")
		if err := errors.Join(os.Mkdir(filepath.Dir(p), 0o700), spoil(p)); err != nil {
			t.Fatal(err)
		}
		_, err := ReadOrCreate(p, 8, func() ([]byte, error) { return []byte("new"), nil })
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), p+" ") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Without hard links a file is made once all the same.
func TestAFileIsMadeWithoutLinks(t *testing.T) {
	for _, cause := range []error{unix.EPERM, unix.ENOTSUP, unix.EOPNOTSUPP} {
		path := filepath.Join(t.TempDir(), "k")
		link := func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: cause} }
		if err := create(path, []byte("one"), link); err != nil {
			t.Fatalf("%v: %v", cause, err)
		}
		if err := create(path, []byte("two"), link); !errors.Is(err, fs.ErrExist) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%v: a second one gave %v", cause, err)
		}
		if raw, err := Read(path, 3); err != nil || string(raw) != "one" {
			t.Errorf("%v: the file holds %q, %v", cause, raw, err)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("%v is there, %v", entries, err)
		}
	}
}
