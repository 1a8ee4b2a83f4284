package troubles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/troubles"
)

const root = "../.."

// Every row names a test that is there, and there are at least twenty troubles.
func TestEveryTroubleIsStaged(t *testing.T) {
	raw, err := os.ReadFile(troubles.Path(root))
	if err != nil {
		t.Fatal(err)
	}
	rows, _, _, err := troubles.Parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 20 {
		t.Errorf("%d troubles, want 20 at least", len(rows))
	}
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.Trouble] {
			t.Errorf("%q is there twice", r.Trouble)
		}
		seen[r.Trouble] = true
		at := strings.LastIndexByte(r.Test, '.')
		if at < 0 {
			t.Errorf("%q names the test %q, want FOLDER.TestName", r.Trouble, r.Test)
			continue
		}
		folder, name := r.Test[:at], r.Test[at+1:]
		files, err := filepath.Glob(filepath.Join(root, folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			// The row is checked by that test under its own name.
			found = found || strings.Contains(string(src), "\nfunc "+name+"(t *testing.T) {") && strings.Contains(string(src), "\""+r.Trouble+"\"")
		}
		if !found {
			t.Errorf("%q: no test %s that names it", r.Trouble, r.Test)
		}
	}
}

func TestRowsAreReadAsTheyAreWritten(t *testing.T) {
	r := troubles.Row{"a trouble", "why", "no-peers:x", "N | M of it", "do this", "internal/x.TestIt"}
	rows, _, _, err := troubles.Parse("# x\n\n| trouble | verb | code | it says first | what to do | staged by |\n|---|---|---|---|---|---|\n" + r.String() + "\n\nmore\n")
	if err != nil || len(rows) != 1 || rows[0] != r {
		t.Errorf("%+v, %v", rows, err)
	}
	for in, want := range map[string]string{
		"2 of 3 at /ip4/192.0.2.1/tcp/4001/p2p/12D3KooWx since 2026-11-21T12:00:00Z": "N of N at … since …",
		"held for 1m30s": "held for …", "/tmp/x1/y is full": "… is full",
	} {
		if got := troubles.Plain(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if _, _, _, err := troubles.Parse("nothing"); err == nil {
		t.Error("a document without a table is read")
	}
}
