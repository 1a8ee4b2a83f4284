package opstack_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/opstack"
)

// A fork of which a node learns late takes blocks back if it changes what a
// block may be, and no block if it changes only what happens inside.
func TestAForkThatIsLearntLate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		forks []opstack.Fork
		head  uint64
	}{
		{"nothing new", nil, 120},
		{"within", []opstack.Fork{{"canyon", epoch + 2}, {"delta", epoch + 3}, {"ecotone", epoch + 4}, {"fjord", epoch + 5}, {"isthmus", epoch + 6}, {"jovian", epoch + 8}, {"karst", epoch + 12}}, 120},
		{"of the form", []opstack.Fork{{"canyon", epoch + 2}, {"ecotone", epoch + 4}, {"isthmus", epoch + 6}, {"jovian", epoch + 15}}, 107},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fs := vfs.NewMem()
			old := family(t)
			l, err := ledger.Open("chain", ledger.Options{Family: old, FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := l.Import(t.Context(), blocks(t, old, 20)); n != 20 {
				t.Fatalf("Import = %d, %v", n, err)
			}
			l.Close()
			now := family(t, func(c *opstack.Config) {
				if tt.forks != nil {
					c.Forks = tt.forks
				}
			})
			var log bytes.Buffer
			l, err = ledger.Open("chain", ledger.Options{Family: now, FS: fs, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if got := l.Status().Head.Number; got != tt.head {
				t.Errorf("head = %d, want %d: %s", got, tt.head, log.String())
			}
			if warned := strings.Contains(log.String(), "level=WARN"); warned != (tt.head < 120) {
				t.Errorf("warned %v: %s", warned, log.String())
			}
		})
	}
}
