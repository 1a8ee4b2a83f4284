package ledger_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

var update = flag.Bool("update", false, "write the golden file of the current schema, once")

func write(t testing.TB, fs vfs.FS, name, text string) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func options(fs vfs.FS, change ...func(*toy)) ledger.Options {
	f := toy{network: "toy"}
	for _, c := range change {
		c(&f)
	}
	return ledger.Options{Family: f, FS: fs, MaxReorg: 8}
}

func TestForeignDirectoryIsRefusedAndLeftAlone(t *testing.T) {
	fs := vfs.NewMem()
	fs.MkdirAll("chain", 0o755)
	write(t, fs, "chain/photos.txt", "mine")
	_, err := ledger.Open("chain", options(fs))
	var foreign *ledger.ForeignError
	if !errors.As(err, &foreign) || foreign.Entry != "photos.txt" || !strings.Contains(err.Error(), "photos.txt") {
		t.Fatalf("Open = %v, want a ForeignError that names photos.txt", err)
	}
	if names, _ := fs.List("chain"); len(names) != 1 {
		t.Errorf("directory has %q, want it untouched", names)
	}
}

// Threat S-06: a second process on the same directory.
func TestLockedDirectoryIsRefused(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := ledger.Open(dir, options(fs))
			if err != nil {
				t.Fatal(err)
			}
			_, err = ledger.Open(dir, options(fs))
			var locked *ledger.LockedError
			if !errors.As(err, &locked) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("second Open = %v, want a LockedError of one line", err)
			}
			take(t, l, run(headOf(t, l), 0, 2))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := ledger.Open(dir, options(fs))
			if err != nil {
				t.Fatalf("Open after Close: %v", err)
			}
			if again.Status().Head.Number != 2 {
				t.Errorf("head = %v, want number 2", again.Status().Head)
			}
			again.Close()
		})
	}
}

func TestAnotherGenesisOrNetworkIsRefusedByName(t *testing.T) {
	fs := vfs.NewMem()
	open(t, fs, options(fs)).Close()
	_, err := ledger.Open("chain", options(fs, func(f *toy) { f.network = "another" }))
	var ge *ledger.GenesisError
	if !errors.As(err, &ge) {
		t.Fatalf("Open = %v, want a GenesisError", err)
	}
	for _, want := range []string{`"toy"`, `"another"`, ge.HaveGenesis.String(), ge.WantGenesis.String()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

// Threat S-07.
func TestNewerSchemaIsRefusedByName(t *testing.T) {
	fs := vfs.NewMem()
	open(t, fs, options(fs)).Close()
	write(t, fs, "chain/SCHEMA", "starling ledger schema 7\n")
	_, err := ledger.Open("chain", options(fs))
	var se *ledger.SchemaError
	if !errors.As(err, &se) || se.Have != 7 || se.Want != 1 || !strings.Contains(err.Error(), "schema 7") {
		t.Errorf("Open = %v, want a SchemaError with 7 and 1", err)
	}
	write(t, fs, "chain/SCHEMA", "nonsense")
	if _, err := ledger.Open("chain", options(fs)); !errors.Is(err, chain.ErrCorrupt) {
		t.Errorf("Open = %v, want ErrCorrupt", err)
	}
}

// Threat S-07: a step may fail or be cut off at any write; the next start
// finishes it, and the backup is what was there before the first try.
func TestOlderSchemaIsMigratedWithABackup(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := open(t, mem, options(mem))
	main := run(headOf(t, l), 0, 5)
	take(t, l, main)
	l.Close()
	calls := 0
	step := func(db *pebble.DB) error {
		calls++
		if err := db.Set([]byte("Znew"), []byte("x"), pebble.Sync); err != nil {
			return err
		}
		if calls == 1 {
			return errors.New("power cut")
		}
		return db.Delete([]byte("Znew"), pebble.Sync)
	}
	steps := map[int]func(*pebble.DB) error{1: step}
	if _, err := ledger.OpenSchema("chain", options(mem), 2, steps); err == nil || !strings.Contains(err.Error(), "backup-schema-1") {
		t.Fatalf("Open with a failing step = %v, want an error that names the backup", err)
	}
	fs := mem.CrashClone(vfs.CrashCloneCfg{})
	l2, err := ledger.OpenSchema("chain", options(fs), 2, steps)
	if err != nil {
		t.Fatal(err)
	}
	check(t, l2)
	if l2.Status().Head != main[4].Ref() {
		t.Errorf("head = %v, want %v", l2.Status().Head, main[4].Ref())
	}
	l2.Close()
	if _, err := ledger.Open("chain", options(fs)); err == nil {
		t.Error("the older program opened the newer schema")
	}
	if _, err := ledger.OpenSchema("chain", options(fs), 4, nil); err == nil || !strings.Contains(err.Error(), "no migration") {
		t.Errorf("Open without a step = %v", err)
	}
	// The backup opens, as of before the first try.
	db, err := ledger.StoreFiles(fs, "chain/backup-schema-1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, _, err := db.Get([]byte("Znew")); !errors.Is(err, pebble.ErrNotFound) {
		t.Errorf("the backup has what the step wrote: %v", err)
	}
	if _, c, err := db.Get([]byte("Mhead")); err != nil {
		t.Errorf("the backup has no head: %v", err)
	} else {
		c.Close()
	}
}

// golden is the content of a ledger with a branch, a staged block and state.
func golden(t *testing.T, l *ledger.Ledger) {
	main := run(headOf(t, l), 0, 3)
	take(t, l, main)
	take(t, l, run(main[1].Header, 1, 1))
	b := toyBlock{parent: main[2].Header, weight: 2, body: body("k", "v"), extra: []byte("extra")}.make()
	take(t, l, []chain.Block{b})
	if err := l.Stage(t.Context(), run(b.Header, 3, 2)[1:]); err != nil {
		t.Fatal(err)
	}
	if err := l.Finalize(t.Context(), main[0].Ref()); err != nil {
		t.Fatal(err)
	}
}

// Threat S-07: the bytes of schema 1 never change; a program that reads them
// must be able to for ever.
func TestSchema1Golden(t *testing.T) {
	const name = "testdata/schema-1.txt"
	fs := vfs.NewMem()
	o := options(fs, func(f *toy) {
		f.rules = []ledger.Rule{{Name: "second", From: 9, ByTime: true}, {Name: "first", From: 2}}
	})
	l := open(t, fs, o)
	golden(t, l)
	var dump bytes.Buffer
	if err := l.Each(func(k, v []byte) { fmt.Fprintf(&dump, "%x %x\n", k, v) }); err != nil {
		t.Fatal(err)
	}
	if *update {
		os.MkdirAll("testdata", 0o755)
		if err := os.WriteFile(name, dump.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(dump.Bytes(), want) {
		t.Error("what is written differs from schema 1: it needs a new number and a migration")
	}
	l.Close()
	// And it is read from the golden bytes alone.
	fs = vfs.NewMem()
	fs.MkdirAll("chain", 0o755)
	write(t, fs, "chain/SCHEMA", "starling ledger schema 1\n")
	db, err := ledger.StoreFiles(fs, "chain/db")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(want)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		kb, _ := hex.DecodeString(k)
		vb, _ := hex.DecodeString(v)
		if err := db.Set(kb, vb, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o.FS = fs
	l = open(t, fs, o)
	check(t, l)
	if st := l.Status(); st.Head.Number != 4 || st.Finalized.Number != 1 || st.Weight != chain.WeightOf(5) {
		t.Errorf("Status = %+v", st)
	}
	if refs, err := l.Staged(t.Context()); len(refs) != 1 || err != nil {
		t.Errorf("Staged = %v, %v", refs, err)
	}
}

func TestForkScheduleChangeRewindsOrRefuses(t *testing.T) {
	rule := func(rs ...ledger.Rule) func(*toy) { return func(f *toy) { f.rules = rs } }
	old := []ledger.Rule{{Name: "berlin", From: 3}, {Name: "london", From: 100}}
	for _, tt := range []struct {
		name string
		now  []ledger.Rule
		head uint64 // 0: refused
		says []string
	}{
		{"no change, other order", []ledger.Rule{old[1], old[0]}, 20, nil},
		{"above the head", []ledger.Rule{old[0], {Name: "london", From: 21}}, 20, nil},
		{"rewound", []ledger.Rule{old[0], {Name: "london", From: 17}}, 16, nil},
		{"added", append([]ledger.Rule{{Name: "paris", From: 20}}, old...), 19, nil},
		{"by time", append([]ledger.Rule{{Name: "cancun", From: 185, ByTime: true}}, old...), 18, nil},
		{"too deep", []ledger.Rule{old[0], {Name: "london", From: 10}}, 0, []string{`"london"`, "100", "10", "rewound to 9", "12"}},
		{"removed", old[1:], 0, []string{`"berlin"`, "3", "never"}},
		{"moved by time, too deep", append([]ledger.Rule{{Name: "cancun", From: 1, ByTime: true}}, old...), 0, []string{`"cancun"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			l := open(t, fs, options(fs, rule(old...)))
			main := run(headOf(t, l), 0, 20)
			take(t, l, main)
			take(t, l, run(main[17].Header, 1, 1))
			l.Close()
			var log bytes.Buffer
			o := options(fs, rule(tt.now...))
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			l, err := ledger.Open("chain", o)
			if tt.head == 0 {
				var re *ledger.RulesError
				if !errors.As(err, &re) {
					t.Fatalf("Open = %v, want a RulesError", err)
				}
				for _, s := range tt.says {
					if !strings.Contains(err.Error(), s) {
						t.Errorf("error %q does not say %s", err, s)
					}
				}
				l = open(t, fs, options(fs, rule(old...))) // still as it was
				check(t, l)
				if l.Status().Head.Number != 20 {
					t.Errorf("head = %v after a refusal", l.Status().Head)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			check(t, l)
			if got := l.Status().Head.Number; got != tt.head {
				t.Errorf("head = %d, want %d", got, tt.head)
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (tt.head < 20) {
				t.Errorf("log %q", log.String())
			}
			take(t, l, main) // what was taken off can come again
			check(t, l)
			if l.Status().Head != main[19].Ref() {
				t.Errorf("head = %v, want %v", l.Status().Head, main[19].Ref())
			}
		})
	}
}

func TestOptionsReportAllThatIsWrong(t *testing.T) {
	_, err := ledger.Open("chain", ledger.Options{MaxReorg: -1, FinalityDepth: -2, CacheBytes: -3})
	for _, want := range []string{"Family", "MaxReorg is -1", "FinalityDepth is -2", "CacheBytes is -3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want it to say %q", err, want)
		}
	}
}
