package opstack

import (
	"sync"

	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// verdicts counts what the wire's part of the table found.
type verdicts struct {
	mu sync.Mutex // a leaf
	of map[string]uint64
}

func (v *verdicts) count(reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil {
		v.of = map[string]uint64{}
	}
	v.of[reason]++
}

// Verdicts counts the messages that the wire refused or ignored by itself
// since it was made, by the name of the check, see rules.Checks; and those that
// it ignored for want of time ("validators-busy"), of memory ("no-memory") or
// of faith in the signer that it knows ("signer-doubtful"). What the Host
// judged, the Host counts.
func (w *Wire) Verdicts() map[string]uint64 {
	out := map[string]uint64{}
	for _, c := range rules.Checks() {
		out[c.Name] = 0
	}
	w.verdicts.mu.Lock()
	defer w.verdicts.mu.Unlock()
	for k, n := range w.verdicts.of {
		out[k] = n
	}
	return out
}
