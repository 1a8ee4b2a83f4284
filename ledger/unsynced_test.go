package ledger_test

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

// Threat S-02: a batch went to the log without a wait, and what comes after it
// adds nothing: it is refused, or was there before. What Import then
// acknowledges, and the status shows, survives the loss of power.
func TestWhatIsAcknowledgedAfterAnEmptyRestSurvives(t *testing.T) {
	refused := func(bs []chain.Block) chain.Block {
		b := toyBlock{parent: bs[len(bs)-1].Header, weight: 1}.make()
		b.Header.Ref.Hash[0]++
		return b
	}
	for name, tt := range map[string]struct {
		rest func([]chain.Block) chain.Block
		want error
	}{
		"the rest is refused":   {refused, chain.ErrInvalid},
		"the rest is there":     {func(bs []chain.Block) chain.Block { return bs[len(bs)-1] }, nil},
		"the rest is too early": {func(bs []chain.Block) chain.Block { return toyBlock{parent: refused(bs).Header, weight: 1}.make() }, chain.ErrUnknownParent},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			l := open(t, mem, ledger.Options{})
			bs := large(headOf(t, l), 10) // more than one batch holds
			n, err := l.Import(t.Context(), append(bs, tt.rest(bs)))
			if !errors.Is(err, tt.want) || n < len(bs) {
				t.Fatalf("Import = %d, %v; want %d, %v", n, err, len(bs), tt.want)
			}
			if got := l.Status().Head; got != bs[9].Ref() {
				t.Fatalf("head = %v, want %v", got, bs[9].Ref())
			}
			o := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), ledger.Options{})
			check(t, o)
			if got := o.Status().Head; got != bs[9].Ref() {
				t.Errorf("head after the loss of power = %v, acknowledged %v", got, bs[9].Ref())
			}
		})
	}
}

// Threat S-02: the same of Stage, whose first batch is not waited for.
func TestWhatIsStagedBeforeAnEmptyRestSurvives(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := open(t, mem, ledger.Options{})
	all := large(headOf(t, l), 98) // one batch holds 91 of them
	bs := all[1:]                  // their parent is missing
	if err := l.Stage(t.Context(), bs[91:]); err != nil {
		t.Fatal(err)
	}
	if err := l.Stage(t.Context(), bs); err != nil {
		t.Fatal(err)
	}
	o := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), ledger.Options{})
	check(t, o)
	got, err := o.Staged(t.Context())
	if err != nil || len(got) != len(bs) {
		t.Errorf("%d blocks are staged after the loss of power, %v; acknowledged %d", len(got), err, len(bs))
	}
}
