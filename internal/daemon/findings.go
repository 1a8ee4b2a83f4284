package daemon

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// findings are what the parts of a stack have to say to whoever asks "why".
func (n *Node) findings() (out []why.Finding) {
	for _, f := range n.stack.findings {
		out = append(out, f(n)...)
	}
	return out
}

// unsigned tells that no block can be checked yet, on a chain of the OP Stack
// whose sequencer is not known.
func unsigned(signers *rules.Signers, source string) func(*Node) []why.Finding {
	evidence, remedy := "nothing in [network.opstack] says where to learn it", "set l1 to the JSON-RPC of an L1 node, or sequencer to the address, in [network.opstack]"
	if source != "" {
		evidence, remedy = "it is to come from what "+source+" names, and has not yet", "see that what "+source+" names is there and answers; the log has what it says"
	}
	return func(n *Node) []why.Finding {
		if signers.Current() != (codec.Address{}) {
			return nil
		}
		return []why.Finding{{
			Code: "no-signer", Level: why.Trouble, Since: n.began, Cause: "no block can be checked: the sequencer's address is not known",
			Evidence: []string{evidence}, Remedy: remedy,
		}}
	}
}

// untrusted tells that nothing is fetched since no block is trusted, on a chain
// on which nothing but a trusted block makes others true.
func untrusted(n *Node) []why.Finding {
	st := n.node.Client().Status()
	if st.Sync.Target != 0 || st.Chain.Head.Number != st.Chain.Earliest || time.Since(n.began) < sampleEvery {
		return nil
	}
	return []why.Finding{{
		Code: "no-target", Level: why.Trouble, Since: n.began, Cause: "nothing is fetched: after the Merge only a block that is trusted makes others true, and none is named",
		Evidence: []string{"the chain is at its first block, and there is no target"},
		Remedy:   "set network.target to a block that you trust, as NUMBER:HASH, name one over the RPC, starling_target, or have a consensus client name them, network.ethereum.engine_listen",
	}}
}

// unworked tells that a forged chain of proof of work costs nothing here, and
// what of it is checked.
func unworked(engine string) func(*Node) []why.Finding {
	checked := "difficulty, links, times, gas and fees of headers are checked, and bodies and receipts against them"
	if engine != "" {
		checked = "the consensus is " + peer.Clean(engine) + ", which this node does not know: not even the difficulty is checked, but links, times, gas and fees of headers are, and bodies and receipts against them"
	}
	return func(*Node) []why.Finding {
		return []why.Finding{{
			Code: "seal-not-checked", Level: why.Notice, Cause: "nothing proves the blocks of this network here: a difficulty that nobody worked for is believed",
			Evidence: []string{checked, "the heaviest chain that a peer serves is followed, and a stranger can make one at no cost; such blocks are not gossiped on"},
			Remedy:   "nothing is wrong; where it matters, keep to nodes that you trust, with static and no_discovery, or name a block that you trust as network.target",
		}}
	}
}

// mistold tells that others see us at another address than they are told.
func mistold(w interface{ Mistold() (devp2p.Mistold, bool) }) func(*Node) []why.Finding {
	return func(*Node) []why.Finding {
		m, ok := w.Mistold()
		if !ok {
			return nil
		}
		return []why.Finding{{
			Code: codeMistold, Level: why.Notice, Cause: fmt.Sprintf("others are told %s, and see this node at %s", m.Told, m.Seen),
			Evidence: []string{fmt.Sprintf("nodes of discovery in %d ranges of addresses say so in their answers; fewer than half say anything else", m.By)},
			Remedy:   "correct network.advertise and network.ethereum.nat, or leave them out; where the node's links go out by another address than they come in by, nothing is wrong",
		}}
	}
}

// codeMistold is the finding of the self-check of our address.
const codeMistold = "advertise:mistold"

// inTheClear tells what it means that a wire's links are in the clear.
func inTheClear(*Node) []why.Finding {
	return []why.Finding{{
		Code: "links-in-the-clear", Level: why.Notice, Cause: "this protocol has neither encryption nor identities",
		Evidence: []string{"whoever is on the way can read and change what is sent; what a peer says it is, is its word, and a ban goes by address", "blocks are proven by their signatures all the same"},
		Remedy:   "nothing is wrong; where it matters, run the links between nodes of your own through a tunnel",
	}}
}
