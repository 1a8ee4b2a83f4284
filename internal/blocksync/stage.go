package blocksync

import "github.com/starlingp2p/starling/chain"

// defaultStaged is what may be staged, where the config does not say: about a
// million blocks of 16 KiB.
const defaultStaged = 16 << 30

// staged is a block on disk that is not linked to our chain yet.
type staged struct {
	chain.Header // Bytes nil
	size         int64
}

// stage notes that a block is on disk.
func (c *Core) stage(h chain.Header, size int64) {
	c.unstage(h.Ref.Hash)
	h.Bytes = nil
	c.staged[h.Ref.Hash] = staged{h, size}
	c.stagedBytes += size
}

// unstage notes that a block is not on the stage any more.
func (c *Core) unstage(h chain.Hash) {
	c.stagedBytes -= c.staged[h].size
	delete(c.staged, h)
}

// stageTakes reports whether so many more blocks and bytes may be staged.
func (c *Core) stageTakes(blocks int, bytes int64) bool {
	return len(c.staged)+blocks <= maxStagedHeaders && c.stagedBytes+bytes <= c.cfg.MaxStagedBytes
}

// shed lets go of the bodies that wait for a stage that is full.
func (c *Core) shed(j *job) {
	left := j.pending
	for i := 0; i < j.entries.len() && left > 0; i++ {
		e := j.entries.at(i)
		if e.state == onDisk {
			continue
		}
		left--
		if e.state == ready {
			c.drops.Stage++
			c.empty(e)
			j.set(e, need)
		}
	}
}
