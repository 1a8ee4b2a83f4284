package wire

import (
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Probed is what a node tells a stranger that is no member of its network. The
// packages of wires give it where they can ask; what the remote says in it is
// cleaned and bounded, and believed in nothing.
type Probed struct {
	Peer   peer.Info     // who it is and what it speaks; its address is the one that was reached
	Claims chain.Status  // where it says that its chain stands; zero: it did not tell
	Time   time.Time     // its clock; zero: it did not tell
	RTT    time.Duration // of a ping; zero: none came back
	Steps  []ProbeStep   // what was asked of it, in order
}

// ProbeStep is one thing that was asked of a node. Err says what was refused,
// and by whom; nil: it was answered.
type ProbeStep struct {
	Name string
	Took time.Duration
	Err  error
}

// Ask does one thing that a node is asked, and notes what came of it.
func (p *Probed) Ask(name string, f func() error) error {
	begin := time.Now()
	err := f()
	p.Steps = append(p.Steps, ProbeStep{Name: name, Took: time.Since(begin), Err: err})
	return err
}
