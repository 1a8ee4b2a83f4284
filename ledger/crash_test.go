package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// hook is a file system that calls fn before each write.
func hook(fs vfs.FS, fn func(op errorfs.Op) error) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose {
			return fn(op)
		}
		return nil
	}))
}

// Threat S-02: the power goes at every write of a run of imports, a
// reorganisation and a stage; what was acknowledged by then is there, and the
// invariants hold, whatever part of the unsynced data survived.
func TestPowerLossAtEveryWrite(t *testing.T) {
	type cut struct {
		fs    *vfs.MemFS
		acked chain.Ref
		stage int
		at    string
	}
	mem := vfs.NewCrashableMem()
	var mu sync.Mutex
	var acked chain.Ref
	var staged int
	var cuts []cut
	rng := rand.New(rand.NewPCG(1, 2))
	fs := hook(mem, func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for _, percent := range []int{0, 50} {
			cuts = append(cuts, cut{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), acked, staged, fmt.Sprint(op.Path, " unsynced ", percent)})
		}
		return nil
	})
	l := open(t, fs, ledger.Options{})
	ack := func() {
		mu.Lock()
		defer mu.Unlock()
		acked = l.Status().Head
	}
	ack()
	g := headOf(t, l)
	main := run(g, 0, 6)
	take(t, l, main[:2])
	ack()
	take(t, l, main[2:])
	ack()
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	side := run(main[3].Header, 1, 5)
	if err := l.Stage(t.Context(), side[1:3]); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	staged = 2
	mu.Unlock()
	take(t, l, side[:2])
	mu.Lock()
	staged = 1
	mu.Unlock()
	take(t, l, side[2:])
	ack()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cuts", len(cuts))
	for i, c := range cuts {
		o, err := ledger.Open("chain", ledger.Options{Family: toy{network: "toy"}, FS: c.fs})
		if err != nil {
			t.Fatalf("cut %d at %s: %v", i, c.at, err)
		}
		if err := errors.Join(o.CheckInvariants(t.Context()), o.CheckState(t.Context())); err != nil {
			t.Fatalf("cut %d at %s: %v", i, c.at, err)
		}
		if got := o.Status().Head.Number; got < c.acked.Number {
			t.Fatalf("cut %d at %s: head %d, acknowledged %d", i, c.at, got, c.acked.Number)
		}
		if refs, _ := o.Staged(t.Context()); len(refs) < c.stage && c.stage == 2 && o.Status().Head == main[5].Ref() {
			if _, err := o.Header(t.Context(), side[1].Ref()); err != nil {
				t.Fatalf("cut %d at %s: staged block lost: %v", i, c.at, err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// disk is a file system that fails writes while it is told to.
type disk struct {
	err  atomic.Pointer[error]
	only func(errorfs.Op) bool
}

func (d *disk) fail(err error) { d.err.Store(&err) }

func (d *disk) fs(under vfs.FS) vfs.FS {
	return hook(under, func(op errorfs.Op) error {
		if e := d.err.Load(); e != nil && *e != nil && (d.only == nil || d.only(op)) {
			return *e
		}
		return nil
	})
}

// Threats S-03, S-04 and S-09: a disk that is full, broken or read-only fails
// the import and nothing else; reads go on; when it is well again the same import passes.
func TestFailedWritesSurfaceAndHeal(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want error
		only func(errorfs.Op) bool
	}{
		{"full", syscall.ENOSPC, chain.ErrFull, nil},
		{"full for the sync", syscall.ENOSPC, chain.ErrFull, func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileWrite && op.Path == "chain/db/probe.tmp"
		}},
		{"broken", syscall.EIO, syscall.EIO, nil},
		{"read-only", syscall.EROFS, syscall.EROFS, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &disk{only: tt.only}
			mem := vfs.NewCrashableMem()
			l := open(t, d.fs(mem), ledger.Options{})
			main := run(headOf(t, l), 0, 9)
			take(t, l, main[:3])
			d.fail(tt.err)
			for range 3 {
				n, err := l.Import(t.Context(), main[:6])
				if n != 0 || !errors.Is(err, tt.want) {
					t.Fatalf("Import = %d, %v; want 0, %v", n, err, tt.want)
				}
				if tt.want != chain.ErrFull && errors.Is(err, chain.ErrFull) {
					t.Errorf("Import = %v, which says that the disk is full", err)
				}
				head := l.Status().Head
				if b, err := l.Block(t.Context(), chain.Ref{Number: 2}); err != nil || b.Ref() != main[1].Ref() {
					t.Fatalf("Block while writes fail = %v, %v", b.Ref(), err)
				}
				if _, err := l.Block(t.Context(), head); err != nil {
					t.Fatalf("head %v cannot be read: %v", head, err)
				}
				check(t, l)
			}
			d.fail(nil)
			take(t, l, main)
			check(t, l)
			if got, want := l.Status().Head, main[8].Ref(); got != want {
				t.Errorf("head = %v, want %v", got, want)
			}
			o := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), ledger.Options{})
			check(t, o)
			if got, want := o.Status().Head, main[8].Ref(); got != want {
				t.Errorf("head after a crash = %v, want %v", got, want)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// large makes blocks that fill the first memtables, so that tables are written.
func large(parent chain.Header, n int) []chain.Block {
	var out []chain.Block
	for i := range n {
		b := toyBlock{parent: parent, weight: 1, body: body("k", string(bytes.Repeat([]byte{byte(i)}, 90<<10)))}.make()
		out = append(out, b)
		parent = b.Header
	}
	return out
}

// Threat S-04: an error at each single write in turn is never skipped in
// silence: either the import says so, or everything is there after a crash.
func TestNoWriteErrorIsSkipped(t *testing.T) {
	for at := int64(0); ; at++ {
		var n atomic.Int64
		var armed, hit atomic.Bool
		mem := vfs.NewCrashableMem()
		fs := hook(mem, func(op errorfs.Op) error {
			if armed.Load() && n.Add(1) == at+1 {
				hit.Store(true)
				return syscall.EIO
			}
			return nil
		})
		l := open(t, fs, ledger.Options{})
		main := large(headOf(t, l), 6)
		armed.Store(true)
		acked := 0
		for i := range main {
			if _, err := l.Import(context.Background(), main[i:i+1]); err != nil {
				if errors.Is(err, chain.ErrInvalid) || errors.Is(err, chain.ErrCorrupt) {
					t.Fatalf("write %d: %v", at, err)
				}
				k, err := l.Import(context.Background(), main[i:i+1]) // the error was one
				if k != 1 || err != nil {
					t.Fatalf("write %d: second Import = %d, %v", at, k, err)
				}
			} else if i < len(main)-1 {
				continue
			}
			acked = i + 1
			o := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), ledger.Options{})
			check(t, o)
			if got := o.Status().Head.Number; got < uint64(acked) {
				t.Fatalf("write %d: head %d after a crash, acknowledged %d", at, got, acked)
			}
			o.Close()
		}
		check(t, l)
		l.Close()
		if !hit.Load() {
			t.Logf("%d writes failed in turn", at)
			return
		}
	}
}

// Threat S-03: where only tables can't be written, Pebble repeats them for ever
// and a commit would wait for that. It is given two seconds, then the import
// says that the disk is full; the commit that waits comes through later.
func TestImportDoesNotHangWhileTablesCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{only: func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".sst") }}
		l, err := ledger.Open("chain", ledger.Options{Family: toy{network: "toy"}, FS: d.fs(vfs.NewMem())})
		if err != nil {
			t.Fatal(err)
		}
		d.fail(syscall.ENOSPC)
		parent := headOf(t, l)
		var bs []chain.Block
		for i := range 40 {
			b := toyBlock{parent: parent, weight: 1, body: body("k", fmt.Sprint(i, string(make([]byte, 4<<20))))}.make()
			bs = append(bs, b)
			parent = b.Header
		}
		n := 0
		for ; n < len(bs); n++ {
			if _, err = l.Import(t.Context(), bs[n:n+1]); err != nil {
				break
			}
		}
		if !errors.Is(err, chain.ErrFull) || n == 0 {
			t.Fatalf("after %d imports: %v, want ErrFull", n, err)
		}
		if _, err := l.Block(t.Context(), bs[0].Ref()); err != nil {
			t.Errorf("read: %v", err)
		}
		if _, err := l.Import(t.Context(), bs[n:n+1]); !errors.Is(err, chain.ErrFull) {
			t.Errorf("Import = %v, want ErrFull", err)
		}
		d.fail(nil)
		for range 100 {
			if _, err = l.Import(t.Context(), bs); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if l.Status().Head != bs[39].Ref() {
			t.Errorf("head = %v, %v; want %v", l.Status().Head, err, bs[39].Ref())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
