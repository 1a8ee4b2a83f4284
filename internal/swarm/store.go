package swarm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Store keeps the table's records: a few named parts, each replaced as a whole.
// Save is called by one worker at a time and may block; Load before Run.
type Store interface {
	// Load gives what was last saved under a name, or nil where nothing was.
	Load(name string) ([]byte, error)
	// Save replaces a part: after a crash, Load gives the old or the new one.
	Save(name string, data []byte) error
	// SetAside keeps a part that does not decode out of the way, and on record.
	SetAside(name string) error
}

// FileStore keeps each part in a file of dir, which it makes (mode 0700).
func FileStore(dir string) Store { return fileStore{dir} }

type fileStore struct{ dir string }

func (s fileStore) path(name string) string { return filepath.Join(s.dir, name+".rec") }

func (s fileStore) Load(name string) ([]byte, error) {
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("swarm: load %s: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, fmt.Errorf("swarm: load %s: %w", name, err)
	}
	return data, nil // longer than maxRecord: does not decode
}

func (s fileStore) Save(name string, data []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("swarm: save %s: %w", name, err)
		}
	}()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	tmp := s.path(name) + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, s.path(name)); err != nil {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close()) // the rename itself
}

func (s fileStore) SetAside(name string) error {
	if err := os.Rename(s.path(name), s.path(name)+".corrupt"); err != nil {
		return fmt.Errorf("swarm: set %s aside: %w", name, err)
	}
	return nil
}

// MemStore is a Store in memory, for tests and simulations. Its zero value is empty.
type MemStore struct {
	mu    sync.Mutex
	parts map[string][]byte
}

// Load gives a copy.
func (s *MemStore) Load(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parts[name]), nil
}

// Save keeps a copy.
func (s *MemStore) Save(name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts == nil {
		s.parts = map[string][]byte{}
	}
	s.parts[name] = slices.Clone(data)
	return nil
}

// SetAside moves the part to another name.
func (s *MemStore) SetAside(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts[name] == nil {
		return fmt.Errorf("swarm: set %s aside: %w", name, fs.ErrNotExist)
	}
	s.parts[name+".corrupt"] = s.parts[name]
	delete(s.parts, name)
	return nil
}

// Clone is an independent copy, such as a crash leaves behind.
func (s *MemStore) Clone() *MemStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &MemStore{parts: maps.Clone(s.parts)}
}

// load reads what was saved. What is damaged is set aside and reported in
// lost, never trusted and never deleted; a newer schema is an error.
func load(s Store) (m memory, lost []error, err error) {
	if s == nil {
		return m, nil, nil
	}
	read := func(name string, decode func([]byte) error) error {
		data, err := s.Load(name)
		if err != nil || len(data) == 0 {
			return err
		}
		err = decode(data)
		if errors.Is(err, errCorrupt) {
			lost = append(lost, fmt.Errorf("%s: %w", name, err), s.SetAside(name))
			return nil
		}
		if err != nil {
			return fmt.Errorf("swarm: %s: %w", name, err)
		}
		return nil
	}
	err = errors.Join(
		read(partStanding, func(b []byte) error {
			got, err := decodeMarks(b)
			if err == nil {
				m.Marks = got
			}
			return err
		}),
		read(partBook, func(b []byte) error {
			got := m
			err := decodeBook(b, &got)
			if err == nil {
				m = got
			}
			return err
		}),
	)
	return m, slices.DeleteFunc(lost, func(e error) bool { return e == nil }), err
}
