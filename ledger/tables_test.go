package ledger_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/ledger"
)

// No table of the database holds blocks and something else, so that a growing
// chain is appended and what is stored of it is not rewritten.
func TestTablesHoldBlocksOrSomethingElse(t *testing.T) {
	o := ledger.StoreOptions(1 << 20)
	o.FS = vfs.NewMem()
	db, err := pebble.Open("db", o)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for n := range 12 { // flushes, and compactions of what they overlap in
		for _, k := range []string{"Aaccount", fmt.Sprintf("B%03d", n), fmt.Sprintf("I%03d", 999-n), "Mhead", fmt.Sprintf("T%03d", n)} {
			if err := db.Set([]byte(k), make([]byte, 1000), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	levels, err := db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, level := range levels {
		for _, table := range level {
			tables++
			lo, hi := table.Smallest.UserKey[0], table.Largest.UserKey[0]
			if (lo <= 'B' && hi >= 'B') && (lo != 'B' || hi != 'B') {
				t.Errorf("table from %q to %q", table.Smallest.UserKey, table.Largest.UserKey)
			}
		}
	}
	if tables < 3 {
		t.Errorf("%d tables, want at least one before, of, and after the blocks", tables)
	}
}
