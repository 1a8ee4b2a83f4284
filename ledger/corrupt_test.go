package ledger_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// Every value in turn is damaged: no read serves another value than the right
// one, CheckInvariants finds the damage, and what is damaged stays where it is.
func TestDamagedValueIsNeverServedAndNeverDeleted(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, options(fs))
	golden(t, l)
	type pair struct{ k, v []byte }
	var all []pair
	if err := l.Each(func(k, v []byte) { all = append(all, pair{bytes.Clone(k), bytes.Clone(v)}) }); err != nil {
		t.Fatal(err)
	}
	head := l.Status().Head
	want, err := l.Blocks(t.Context(), chain.Range{Count: 10})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range all {
		bad := bytes.Clone(p.v)
		bad[len(bad)-1] ^= 1
		if err := l.Set(p.k, bad); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			got, err := l.Block(t.Context(), w.Ref())
			switch {
			case errors.Is(err, chain.ErrCorrupt):
				found++
				if !strings.Contains(err.Error(), "sync anew") {
					t.Errorf("error %q has no hint", err)
				}
			case err != nil:
				t.Errorf("Block with key %q damaged: %v", p.k, err)
			case !bytes.Equal(got.Body, w.Body) || !bytes.Equal(got.Extra, w.Extra) || got.Ref() != w.Ref():
				t.Errorf("damaged value under %q was served", p.k)
			}
		}
		if err := l.CheckInvariants(t.Context()); !errors.Is(err, chain.ErrCorrupt) {
			t.Errorf("CheckInvariants with key %q damaged = %v", p.k, err)
		}
		still := false
		l.Each(func(k, v []byte) { still = still || bytes.Equal(k, p.k) && bytes.Equal(v, bad) })
		if !still {
			t.Errorf("damaged value under %q is gone", p.k)
		}
		if err := l.Set(p.k, p.v); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 || l.Status().Head != head {
		t.Errorf("found %d, head %v", found, l.Status().Head)
	}
	check(t, l)
}

// Every value in turn is missing: CheckInvariants finds it.
func TestMissingValueIsFound(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, options(fs))
	golden(t, l)
	type pair struct{ k, v []byte }
	var all []pair
	l.Each(func(k, v []byte) { all = append(all, pair{bytes.Clone(k), bytes.Clone(v)}) })
	for _, p := range all {
		switch {
		case p.k[0] == 'U', string(p.k) == "Mfinal", string(p.k) == "Mspec", p.k[0] == 'B' && p.k[41] == 'x':
			continue // may be missing
		}
		if err := l.Unset(p.k); err != nil {
			t.Fatal(err)
		}
		err := errors.Join(l.CheckInvariants(t.Context()), l.CheckState(t.Context()))
		if !errors.Is(err, chain.ErrCorrupt) {
			t.Errorf("CheckInvariants without key %q = %v", p.k, err)
		}
		l.Set(p.k, p.v)
	}
	check(t, l)
}

// A damaged file is found by Open or by a read, never served, never deleted.
func TestDamagedFileIsNeverServedAndNeverDeleted(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, options(fs))
	main := large(headOf(t, l), 8)
	take(t, l, main)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	names, err := fs.List("chain/db")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		path := "chain/db/" + name
		good := contents(t, fs, path)
		for _, tt := range []struct {
			name string
			data []byte
		}{{"torn", good[:len(good)/2]}, {"flipped", flipped(good)}} {
			fs2 := copyDir(t, fs)
			write(t, fs2, path, string(tt.data))
			l, err := ledger.Open("chain", options(fs2))
			if err == nil {
				for _, b := range main {
					got, err := l.Block(t.Context(), b.Ref())
					if err != nil && !errors.Is(err, chain.ErrCorrupt) && !errors.Is(err, chain.ErrNotFound) {
						t.Errorf("%s %s: Block = %v, want ErrCorrupt", name, tt.name, err)
					}
					if errors.Is(err, chain.ErrNotFound) {
						t.Errorf("%s %s: Block = %v: a damaged block is not a missing one", name, tt.name, err)
					}
					if err == nil && !bytes.Equal(got.Body, b.Body) {
						t.Errorf("%s %s: served damaged data", name, tt.name)
					}
				}
				l.Close()
			} else if !errors.Is(err, chain.ErrCorrupt) {
				t.Errorf("%s %s: Open = %v, want ErrCorrupt", name, tt.name, err)
			}
			if got := contents(t, fs2, path); !bytes.Equal(got, tt.data) {
				t.Errorf("%s %s: the file was changed or deleted", name, tt.name)
			}
		}
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/3] ^= 0x10
	return b
}

func contents(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func copyDir(t testing.TB, fs *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	out := vfs.NewMem()
	if _, err := vfs.Clone(fs, out, "chain", "chain"); err != nil {
		t.Fatal(err)
	}
	return out
}
