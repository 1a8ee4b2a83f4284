package relay

import (
	"context"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// BlockTaker is what fetching announced blocks needs of the node. All methods are
// called concurrently; those with a context may block until it ends.
type BlockTaker interface {
	// Place says where a header stands: whether our chain has it, whether it has
	// its parent, and the number of our head.
	Place(ctx context.Context, h chain.Header) (known, linked bool, head uint64)
	// Take judges a block that s delivered on our request as one that s had
	// pushed: it charges s, and hands over what is accepted.
	Take(ctx context.Context, s wire.Session, b chain.Block) chain.Verdict
	// Hint says that a peer claims a block. It never blocks.
	Hint(id peer.ID, ref chain.Ref, w chain.Weight)
}

// BlockAnnounced tells of a block that a peer says it has and that our chain
// lacks, or that is not Near; head is the number of ours. False: it will not be
// fetched, and nobody was given a hint of it.
func (r *Relay) BlockAnnounced(from peer.ID, ref chain.Ref, w chain.Weight, head uint64) bool {
	return r.cfg.Blocks != nil && r.IsOpen() &&
		r.mail.offer("block-announced", letter{event: BlockAnnounced{from, ref, w, head}, from: from, most: maxReported})
}

// seek carries out one request for announced blocks.
func (r *Relay) seek(ctx context.Context, c *courier, e Effect) Event {
	switch e := e.(type) {
	case FetchHeader:
		return r.seekHeader(ctx, c, e)
	case FetchBodies:
		return r.seekBodies(ctx, c, e)
	}
	return Tick{}
}

func (r *Relay) seekHeader(ctx context.Context, c *courier, f FetchHeader) HeaderFetched {
	out := HeaderFetched{From: c.id}
	res, silent, err := c.request(ctx, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: f.Ref.Hash}, Count: 1}})
	list, ok := res.(wire.Headers)
	if err != nil || !ok || len(list.Headers) == 0 {
		out.Failed, out.Silent = true, silent
		return out
	}
	out.Header = list.Headers[0]
	if out.Header.Ref.Hash == f.Ref.Hash {
		out.Known, out.Linked, out.Head = r.cfg.Blocks.Place(ctx, out.Header)
	}
	return out
}

// seekBodies has the blocks judged one by one, so that no more than one answer
// of a peer is held.
func (r *Relay) seekBodies(ctx context.Context, c *courier, f FetchBodies) BodiesFetched {
	out := BodiesFetched{From: c.id}
	rq := wire.GetBodies{Hashes: make([]chain.Hash, len(f.Headers)), Headers: f.Headers, BodiesOnly: true}
	for i, h := range f.Headers {
		rq.Hashes[i] = h.Ref.Hash
	}
	res, silent, err := c.request(ctx, rq)
	list, ok := res.(wire.Bodies)
	if err != nil || !ok {
		out.Failed, out.Silent = true, silent
		return out
	}
	for i, hash := range list.Hashes {
		at := slices.Index(rq.Hashes, hash)
		if at < 0 || i >= len(list.Bodies) {
			continue
		}
		// What travels beside a block is not part of one that is pushed either.
		v := r.cfg.Blocks.Take(ctx, c.session, chain.Block{Header: f.Headers[at], Body: list.Bodies[i].Body})
		out.Given = append(out.Given, Judged{hash, v.Action})
	}
	return out
}
