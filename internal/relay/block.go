package relay

import (
	"github.com/starlingp2p/starling/chain"
)

// candidate is a block that passed its check, and may become part of our chain.
type candidate struct {
	ref    chain.Ref
	weight chain.Weight
}

// news is a block to tell a peer of: in full, or by its name.
type news struct {
	block  chain.Block
	full   bool
	weight chain.Weight
}

// onChecked sends a block in full to the root of the number of those that lack
// it. Which of them is drawn anew for each block.
func (c *Core) onChecked(ev Checked) {
	ref := ev.Block.Ref()
	if p := c.byID[ev.From]; p != nil {
		c.blocks.note(p.n, ref.Hash)
	}
	if !c.open {
		c.drop("not-synced", 1)
		return
	}
	if c.cfg.OwnBlocksOnly && ev.From != "" {
		c.drop("block-unproven", 1)
		return
	}
	for _, have := range c.checked {
		if have.ref == ref {
			return
		}
	}
	if len(c.checked) == memory {
		c.checked = c.checked[1:]
	}
	c.checked = append(c.checked, candidate{ref, ev.Weight})
	if !c.cfg.PushBlocks {
		return
	}
	lacking := c.lackingBlock(ref.Hash)
	c.cfg.Rand.Shuffle(len(lacking), func(i, j int) { lacking[i], lacking[j] = lacking[j], lacking[i] })
	for _, p := range lacking[:root(len(lacking))] {
		c.tellBlock(p, news{ev.Block, true, ev.Weight})
	}
}

// onImported announces blocks that are new to our chain, if they came to us as
// news: what was synced is none.
func (c *Core) onImported(ev Imported) {
	if !c.open || !c.cfg.AnnounceBlocks {
		return
	}
	for _, ref := range ev.Refs {
		for _, have := range c.checked {
			if have.ref != ref {
				continue
			}
			for _, p := range c.lackingBlock(ref.Hash) {
				c.tellBlock(p, news{chain.Block{Header: chain.Header{Ref: ref}}, false, have.weight})
			}
		}
	}
}

// onSynced announces where a sync has ended, as geth's chainSync does: who
// lacks what is behind it can learn of it from nobody else. On wires that push no
// blocks, peers tell each other of their chains by other means.
func (c *Core) onSynced(ev Synced) {
	if !c.open || !c.cfg.AnnounceBlocks || !c.cfg.PushBlocks || c.cfg.OwnBlocksOnly {
		return
	}
	for _, p := range c.lackingBlock(ev.Head.Hash) {
		c.tellBlock(p, news{block: chain.Block{Header: chain.Header{Ref: ev.Head}}})
	}
}

func (c *Core) lackingBlock(h chain.Hash) (out []*remote) {
	for _, p := range c.peers {
		if !c.blocks.has(p.n, h) {
			out = append(out, p)
		}
	}
	return out
}

// tellBlock queues a block for a peer. The oldest of the same form makes room.
func (c *Core) tellBlock(p *remote, n news) {
	c.blocks.note(p.n, n.block.Ref().Hash)
	same, oldest := 0, 0
	for i, have := range p.blocks {
		if have.full == n.full {
			if same == 0 {
				oldest = i
			}
			same++
		}
	}
	if same == maxBlocks {
		c.drop("queue-full", 1)
		p.blocks = append(p.blocks[:oldest], p.blocks[oldest+1:]...)
	}
	p.blocks = append(p.blocks, n)
	c.flushBlocks(p)
}

// flushBlocks sends a peer the next block that waits for it.
func (c *Core) flushBlocks(p *remote) {
	if len(p.blocks) == 0 || p.busy[Blocks] {
		return
	}
	n := p.blocks[0]
	p.blocks[0] = news{}
	p.blocks = p.blocks[1:]
	p.busy[Blocks] = true
	if n.full {
		c.do(PushBlock{p.id, n.block, n.weight})
	} else {
		c.do(AnnounceBlock{p.id, n.block.Ref(), n.weight})
	}
}
