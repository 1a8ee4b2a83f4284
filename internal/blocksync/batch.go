package blocksync

import "github.com/starlingp2p/starling/wire"

// batch is how much a peer is asked for in one request of a kind; 0: as much as
// it is worth. A timeout halves it, down to one, and answers that come in good
// time make it grow again, so that who needs seconds for each block is synced
// from at its own pace.
func (p *remote) batch(kind string) *int {
	if kind == "headers" {
		return &p.headers
	}
	return &p.blocks
}

// widen lets a batch grow by a half, if it was used up.
func (c *Core) widen(b *int, r *request) {
	if r.items < *b {
		return
	}
	*b += max(1, *b/2)
	most := c.cfg.Caps.MaxBatch
	if *b >= max(most.Bodies, most.Blocks) && r.kind != "headers" || *b >= most.Headers && r.kind == "headers" {
		*b = 0
	}
}

// fit is the part of n that p is asked for at once.
func (c *Core) fit(p *remote, n int, kind string) int {
	if kind == "blocks" && p.rate == 0 {
		n = min(n, max(1, firstAnswer/c.bodySize()))
	}
	if b := *p.batch(kind); b > 0 {
		return max(1, min(n, b))
	}
	return n
}

// items is how many headers, blocks or bodies a request asks for.
func items(rq wire.Request) int {
	switch rq := rq.(type) {
	case wire.GetHeaders:
		return rq.Range.Count
	case wire.GetBlocks:
		return rq.Range.Count
	case wire.GetBlocksByHash:
		return len(rq.Hashes)
	case wire.GetBodies:
		return len(rq.Hashes)
	}
	return 1
}
