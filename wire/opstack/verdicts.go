package opstack

import (
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// What a message is ignored for beside the table, at nobody's cost.
const (
	validatorsBusy = "validators-busy" // no place to be checked came free in time
	noMemory       = "no-memory"       // nor memory for it
	signerDoubtful = "signer-doubtful" // see doubt
)

// others are those reasons.
func others() []string { return []string{validatorsBusy, noMemory, signerDoubtful} }

// Reasons lists every reason for which the wire, or the table behind it,
// refuses or ignores a message, each with its words for people.
func Reasons() map[string]string {
	out := map[string]string{
		validatorsBusy: "the topic had more messages to check than time to check them",
		noMemory:       "the messages under check held all the memory that there is for them",
		signerDoubtful: "several peers brought blocks of another signer, and none of ours: is the configured signer right?",
	}
	for _, c := range rules.Checks() {
		out[c.Name] = c.Why
	}
	return out
}

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
// since it was made, by reason: see Reasons. What the Host judged, the Host
// counts.
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

// Judged implements wire.Judging. Rows of the table that the Host judges by are
// not among them.
func (w *Wire) Judged() map[wire.JudgedKey]uint64 {
	counts := w.Verdicts()
	out := map[wire.JudgedKey]uint64{}
	for _, c := range rules.Checks()[:rules.FirstJudged] {
		out[wire.JudgedKey{Message: "block", Action: c.Verdict.Action, Reason: c.Name}] = counts[c.Name]
	}
	for _, reason := range others() {
		out[wire.JudgedKey{Message: "block", Action: chain.Ignore, Reason: reason}] = counts[reason]
	}
	return out
}

// Meshes implements wire.Meshed.
func (w *Wire) Meshes() map[string]int {
	out := map[string]int{}
	for _, v := range codec.Versions {
		out["blocks"+v.String()] = w.Mesh(v)
	}
	return out
}
