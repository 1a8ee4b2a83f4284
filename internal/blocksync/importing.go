package blocksync

import (
	"errors"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// tipImport is the batch of offered blocks that is on its way into the chain.
// At most one is.
type tipImport struct {
	blocks    []*looseBlock
	headersID uint64
	bodiesID  uint64
	importID  uint64
	headers   bool // verified
	bodies    bool
}

// follow starts on the offered blocks whose parent is imported, as one chain
// as long as there is.
func (c *Core) follow() {
	if len(c.tip.blocks) > 0 {
		c.importTip()
		return
	}
	if c.pausedByTrouble() {
		return
	}
	var parent chain.Header
	var first *looseBlock
	for first == nil && len(c.loose.ready) > 0 {
		l := c.loose.ready[0]
		c.loose.ready = c.loose.ready[1:]
		h := l.block.Header
		if c.loose.get(h.Ref.Hash) != l {
			continue // it went another way
		}
		if p, ok := c.recent.Get(h.Parent); ok {
			first, parent = l, p
		} else {
			c.place(l)
		}
	}
	if first == nil {
		c.loose.ready = nil
		return
	}
	t := tipImport{headersID: c.id(), bodiesID: c.id()}
	bytes := 0
	var hs []chain.Header
	var bs []chain.Block
	for l := first; l != nil && len(t.blocks) < importBlocks && (bytes == 0 || bytes+l.size <= importBytes); {
		t.blocks = append(t.blocks, l)
		hs = append(hs, l.block.Header)
		bs = append(bs, l.block)
		bytes += l.size
		children := c.loose.byParent[l.block.Header.Ref.Hash]
		l = nil
		if len(children) > 0 {
			l = children[0] // the others are made ready by the import
		}
	}
	c.tip = t
	c.emit(VerifyHeaders{ID: t.headersID, Parent: &parent, Headers: hs})
	c.emit(VerifyBodies{ID: t.bodiesID, Blocks: bs})
}

// cutTip takes blocks from the i-th on out of the batch, and out of quarantine.
// Nobody is charged: those who passed them on need not have looked so deep.
func (c *Core) cutTip(i int, isBad bool) {
	if i >= len(c.tip.blocks) {
		return
	}
	h := c.tip.blocks[i].block.Header.Ref.Hash
	if isBad {
		c.bad.Add(h)
		c.loose.removeTree(c, h)
	} else {
		c.loose.remove(c, h)
	}
	c.tip.blocks = c.tip.blocks[:i]
}

func (c *Core) onTipHeaders(in VerifiedHeaders) {
	c.tip.headersID = 0
	c.tip.headers = true
	unjudged := errors.Is(in.Err, chain.ErrUnjudged)
	if in.Err != nil && !unjudged && !errors.Is(in.Err, chain.ErrInvalid) {
		c.ownTrouble("verifying headers", in.Err, false)
		c.resetTip()
		return
	}
	c.cutTip(in.N, !unjudged)
	c.importTip()
}

func (c *Core) onTipBodies(in VerifiedBodies) {
	c.tip.bodiesID = 0
	c.tip.bodies = true
	for i, err := range in.Errs {
		if err == nil {
			continue
		}
		if !errors.Is(err, chain.ErrInvalid) {
			c.ownTrouble("verifying bodies", err, false)
			c.resetTip()
			return
		}
		c.cutTip(i, false)
		break
	}
	c.importTip()
}

// resetTip gives the batch back to quarantine, to be tried again.
func (c *Core) resetTip() {
	back := c.tip.blocks
	c.tip = tipImport{}
	c.loose.ready = append(back, c.loose.ready...)
}

// importTip imports the batch once both halves are verified.
func (c *Core) importTip() {
	t := &c.tip
	if !t.headers || !t.bodies || t.importID != 0 || c.pausedByTrouble() {
		return
	}
	if len(t.blocks) == 0 {
		c.tip = tipImport{}
		return
	}
	t.importID = c.id()
	items := make([]Item, len(t.blocks))
	for i, l := range t.blocks {
		items[i] = Item{Ref: l.block.Header.Ref, Block: l.block}
	}
	c.emit(Import{ID: t.importID, Items: items})
}

// importPath imports the low end of the path, as far as it is there.
func (c *Core) importPath(j *job) {
	if !j.connected || j.importing != 0 || c.pausedByTrouble() {
		return
	}
	var items []Item
	bytes := 0
	for i := 0; i < j.entries.len() && len(items) < importBlocks; i++ {
		e := j.entries.at(i)
		if e.state != ready && e.state != onDisk {
			break
		}
		cost := e.cost
		if e.state == onDisk {
			cost = c.bodySize()
		}
		if bytes += cost; bytes > importBytes && len(items) > 0 {
			break
		}
		it := Item{Ref: e.hdr.Ref, Staged: e.state == onDisk}
		if !it.Staged {
			it.Block = chain.Block{Header: e.hdr, Body: e.body, Extra: e.extra}
		}
		items = append(items, it)
	}
	if len(items) > 0 {
		j.importing = c.id()
		c.emit(Import{ID: j.importing, Items: items})
	}
}

// stagePath puts on disk what is linked to the target and not to our chain.
func (c *Core) stagePath(j *job) {
	if j.connected || j.staging != 0 || c.pausedByTrouble() || j.pending == 0 || c.soon(j) {
		return
	}
	if j.bare {
		c.shed(j)
		return
	}
	var blocks []chain.Block
	bytes, low := 0, 0
	if c.proven() {
		low = 1 // the lowest is verified with its parent, when that comes
	}
	for i := j.entries.len() - 1; i >= low && len(blocks) < importBlocks && bytes < importBytes; i-- {
		e := j.entries.at(i)
		if e.state != ready {
			continue
		}
		if !c.stageTakes(len(blocks)+1, int64(bytes+e.cost)) {
			j.bare = true
			break
		}
		blocks = append(blocks, chain.Block{Header: e.hdr, Body: e.body, Extra: e.extra})
		bytes += e.cost
	}
	if len(blocks) == 0 {
		return
	}
	j.staging = c.id()
	j.stagingOf = nil
	for _, b := range blocks {
		n := b.Header.Ref.Number
		j.set(j.entry(n), staging)
		j.stagingOf = append(j.stagingOf, n)
	}
	c.emit(Stage{ID: j.staging, Blocks: blocks})
}

// soon reports whether a path is about to be linked to our chain, at the pace so
// far: what is staged then is written, read and written again within moments. It
// is so only where blocks come so fast that to fetch them again is soon done; a
// crash costs what came in soonTime.
func (c *Core) soon(j *job) bool {
	if j.want.Number <= c.status.Head.Number || j.fetched == 0 || c.held > c.cfg.MaxBytes/5*4 {
		return false
	}
	took := c.now.Sub(j.started).Seconds()
	left := float64(j.want.Number-c.status.Head.Number) / float64(j.fetched) * took
	return left+took < soonTime.Seconds() && float64(j.fetched)*c.avgBody >= soonRate*took
}

func (c *Core) onStaged(in StagedBlocks) {
	j := c.job
	if in.Err != nil {
		c.ownTrouble("staging blocks", in.Err, errors.Is(in.Err, chain.ErrCorrupt))
		c.trouble.write = true
	} else {
		c.written()
	}
	if j == nil || j.staging != in.ID {
		return
	}
	j.staging = 0
	for _, n := range j.stagingOf {
		e := j.entry(n)
		if e == nil || e.state != staging {
			continue
		}
		if in.Err != nil {
			j.set(e, ready)
			continue
		}
		size := int64(e.cost)
		c.empty(e)
		e.cost -= len(e.hdr.Bytes)
		c.held -= len(e.hdr.Bytes)
		e.hdr.Bytes = nil
		c.stage(e.hdr, size)
		j.set(e, onDisk)
		j.progress = c.now
	}
}

// onImported takes in what the chain took, and what became of the rest.
func (c *Core) onImported(in Imported) {
	tip := in.ID == c.tip.importID && in.ID != 0
	j := c.job
	ofJob := j != nil && j.importing == in.ID && in.ID != 0
	var hs []chain.Header
	switch {
	case tip:
		for _, l := range c.tip.blocks[:min(in.N, len(c.tip.blocks))] {
			hs = append(hs, l.block.Header)
		}
	case ofJob:
		j.importing = 0
		for range min(in.N, j.entries.len()) {
			e := c.pop(j)
			hs = append(hs, e.hdr)
		}
		if len(hs) > 0 {
			j.base = hs[len(hs)-1]
			j.progress = c.now
		}
	}
	for _, h := range hs {
		if h.Bytes != nil { // of a staged one, only the link is known
			c.remember(h)
		}
	}
	c.newStatus(in.Status, in.Head, in.Undone)
	c.count(in.N)
	c.afterImport(hs)
	if in.Err == nil {
		c.written()
	}
	switch {
	case tip:
		c.tipImported(in)
	case ofJob && in.Err != nil:
		c.importFailed(j, in.Err)
	}
}

// tipImported ends a batch of offered blocks.
func (c *Core) tipImported(in Imported) {
	rest := c.tip.blocks[min(in.N, len(c.tip.blocks)):]
	c.tip = tipImport{}
	c.reached = c.reached || in.N > 0
	if in.Err == nil || len(rest) == 0 {
		return
	}
	h := rest[0].block.Header
	switch {
	case errors.Is(in.Err, chain.ErrReorgTooDeep):
		c.emit(Tell{ReorgRefused{Fork: h.Ref}})
		c.bad.Add(h.Ref.Hash)
		c.loose.removeTree(c, h.Ref.Hash)
	case errors.Is(in.Err, chain.ErrInvalid):
		c.bad.Add(h.Ref.Hash)
		c.loose.removeTree(c, h.Ref.Hash)
	case errors.Is(in.Err, chain.ErrUnknownParent):
		c.loose.remove(c, h.Ref.Hash)
	default:
		c.ownTrouble("importing", in.Err, errors.Is(in.Err, chain.ErrCorrupt))
		c.trouble.write = true
		c.loose.ready = append(rest[:1:1], c.loose.ready...)
	}
}

// importFailed judges an error about the lowest entry of the path.
func (c *Core) importFailed(j *job, err error) {
	var e entry
	if j.entries.len() > 0 {
		e = *j.entries.at(0)
	}
	h := e.hdr.Ref
	switch {
	case errors.Is(err, chain.ErrReorgTooDeep):
		// The chain's rule stands: this branch is not asked for again.
		c.emit(Tell{ReorgRefused{Fork: h, From: e.from}})
		c.bad.Add(h.Hash)
		c.dropBranch(j, "the chain refuses a reorganisation that deep")
	case errors.Is(err, chain.ErrInvalid):
		if e.from != "" {
			c.lied(e.from, peer.InvalidBlock, errText(err))
		}
		c.bad.Add(h.Hash)
		c.dropBranch(j, errText(err))
	case errors.Is(err, chain.ErrUnknownParent):
		c.abort(j, "the chain does not know the parent that it had")
	case errors.Is(err, chain.ErrNotFound) && e.state == onDisk:
		c.unstage(h.Hash) // the chain has let go of it: fetched again
		c.abort(j, "a staged block is gone")
	default:
		c.ownTrouble("importing", err, errors.Is(err, chain.ErrCorrupt))
		c.trouble.write = true
	}
}

// dropBranch ends a job whose path the chain will not take.
func (c *Core) dropBranch(j *job, why string) {
	if !j.forward {
		c.refuseTarget(j, why)
		return
	}
	if p := j.master; p != nil {
		p.badUntil = c.now.Add(lackFor)
	}
	c.endJob()
}

// count measures the pace of import.
func (c *Core) count(n int) {
	if n == 0 {
		return
	}
	c.imported += uint64(n)
	if d := c.now.Sub(c.lastImport).Seconds(); d > 0 {
		sample := float64(n) / d
		if c.rate == 0 {
			c.rate = sample
		} else {
			c.rate += (sample - c.rate) / 8
		}
	}
}
