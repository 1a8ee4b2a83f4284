package blocksync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// load reads the chain at the start.
func (o *owner) load(ctx context.Context) Input {
	st := o.cfg.Chain.Status()
	in := Ready{Status: st, Head: o.headHeader(ctx, st)}
	refs, err := o.cfg.Chain.Staged(ctx)
	if err != nil {
		o.cfg.Logger.Warn("staged blocks cannot be read; they are fetched again", "err", err)
	}
	for _, ref := range refs {
		if len(in.Staged) >= maxStagedHeaders || ctx.Err() != nil {
			break
		}
		h, err := o.cfg.Chain.Header(ctx, ref)
		if err != nil {
			o.cfg.Logger.Warn("a staged block cannot be read; it is fetched again", "block", ref.String(), "err", err)
			continue
		}
		h.Bytes = nil
		in.Staged = append(in.Staged, h)
	}
	in.StagedSize = o.stagedSize(ctx, in.Staged)
	return in
}

// stagedSamples is how many staged blocks are read to know their size.
const stagedSamples = 32

// stagedSize is the average size of staged blocks, from some of them all over
// the stage: to read all would take long.
func (o *owner) stagedSize(ctx context.Context, hs []chain.Header) int64 {
	var sum, n int64
	for i := 0; i < len(hs) && ctx.Err() == nil; i += max(1, len(hs)/stagedSamples) {
		if b, err := o.cfg.Chain.Block(ctx, hs[i].Ref); err == nil {
			sum, n = sum+int64(b.Size()), n+1
		}
	}
	return sum / max(n, 1)
}

// headHeader is the header of the head; zero if it cannot be read, which the
// next lookup will tell.
func (o *owner) headHeader(ctx context.Context, st chain.Status) chain.Header {
	h, err := o.cfg.Chain.Header(ctx, st.Head)
	if err != nil {
		return chain.Header{}
	}
	return h
}

func (o *owner) lookupTask(e Lookup) task {
	return func(ctx context.Context) Input {
		in := Looked{ID: e.ID, Found: make([]*chain.Header, len(e.Refs))}
		for i, ref := range e.Refs {
			switch h, err := o.cfg.Chain.Header(ctx, ref); {
			case err == nil:
				in.Found[i] = &h
			case !errors.Is(err, chain.ErrNotFound):
				in.Err = err
			}
		}
		return in
	}
}

func (o *owner) verifyHeadersTask(e VerifyHeaders) task {
	return func(ctx context.Context) Input {
		in := VerifiedHeaders{ID: e.ID}
		if e.Parent != nil {
			in.Linked, in.Base = true, *e.Parent
			in.N, in.Err = chain.VerifyHeaders(ctx, o.cfg.Chain, *e.Parent, e.Headers)
			return in
		}
		// The highest that is imported is the base.
		imported := func(number uint64, hash chain.Hash) (chain.Header, bool) {
			if number > e.Head || slices.Contains(e.Staged, hash) {
				return chain.Header{}, false
			}
			h, err := o.cfg.Chain.Header(ctx, chain.Ref{Number: number, Hash: hash})
			if err != nil && !errors.Is(err, chain.ErrNotFound) {
				in.Err = err
			}
			return h, err == nil
		}
		for i := len(e.Headers) - 1; i >= 0 && !in.Linked; i-- {
			if h, ok := imported(e.Headers[i].Ref.Number, e.Headers[i].Ref.Hash); ok {
				in.Linked, in.Base, in.First = true, h, i+1
			}
		}
		if h := e.Headers[0]; !in.Linked && h.Ref.Number > 0 {
			if base, ok := imported(h.Ref.Number-1, h.Parent); ok {
				in.Linked, in.Base, in.First = true, base, 0
			}
		}
		if in.Err != nil {
			in.Linked, in.First = false, 0
			return in
		}
		parent := in.Base
		if !in.Linked {
			parent, in.First = e.Headers[0], 1
		}
		if in.First < len(e.Headers) {
			in.N, in.Err = chain.VerifyHeaders(ctx, o.cfg.Chain, parent, e.Headers[in.First:])
		}
		return in
	}
}

// bodiesTogether is how many bodies a chain is given at once: few enough that
// the end of ctx is soon seen.
const bodiesTogether = 16

func (o *owner) verifyBodiesTask(e VerifyBodies) task {
	return func(ctx context.Context) Input {
		in := VerifiedBodies{ID: e.ID, Errs: make([]error, 0, len(e.Blocks))}
		for some := range slices.Chunk(e.Blocks, bodiesTogether) {
			if ctx.Err() != nil {
				in.Errs = append(in.Errs, slices.Repeat([]error{ctx.Err()}, len(some))...)
				continue
			}
			in.Errs = append(in.Errs, chain.VerifyBodies(o.cfg.Chain, some)...)
		}
		return in
	}
}

func (o *owner) stageTask(e Stage) task {
	return func(ctx context.Context) Input {
		return StagedBlocks{ID: e.ID, Err: o.cfg.Chain.Stage(ctx, e.Blocks)}
	}
}

func (o *owner) importTask(e Import) task {
	return func(ctx context.Context) Input {
		in := Imported{ID: e.ID}
		blocks := make([]chain.Block, 0, len(e.Items))
		var lost error
		for _, it := range e.Items {
			if !it.Staged {
				blocks = append(blocks, it.Block)
				continue
			}
			b, err := o.cfg.Chain.Block(ctx, it.Ref)
			if err != nil {
				lost = fmt.Errorf("blocksync: reading staged block %v: %w", it.Ref, err)
				break
			}
			blocks = append(blocks, b)
		}
		in.N, in.Err, in.Status, in.Head, in.Undone = o.importBlocks(ctx, blocks)
		if in.Err == nil {
			in.Err = lost
		}
		return in
	}
}

func (o *owner) importLocal(ctx context.Context, li localImport) {
	n, err, st, head, undone := o.importBlocks(ctx, []chain.Block{li.block})
	if n == 1 {
		err = nil
		o.result(ctx, LocalImported{Header: li.block.Header, Status: st, Head: head, Undone: undone})
	} else if err == nil {
		err = fmt.Errorf("blocksync: the chain took nothing of %v and did not say why", li.block.Ref())
	}
	li.reply <- err
}

// importBlocks imports, tells the listener, and finds out what was undone.
func (o *owner) importBlocks(ctx context.Context, blocks []chain.Block) (n int, err error, st chain.Status, head chain.Header, undone int) {
	old := o.cfg.Chain.Status().Head
	if len(blocks) > 0 {
		n, err = o.cfg.Chain.Import(ctx, blocks)
		n = max(0, min(n, len(blocks)))
		if n < len(blocks) && err == nil {
			err = fmt.Errorf("blocksync: the chain took %d of %d blocks and did not say why", n, len(blocks))
		}
	}
	st = o.cfg.Chain.Status()
	head = o.headHeader(ctx, st)
	if st.Head != old {
		undone = o.depth(ctx, old)
	}
	if n > 0 && o.cfg.OnHead != nil {
		refs := make([]chain.Ref, n)
		for i := range refs {
			refs[i] = blocks[i].Ref()
		}
		o.cfg.OnHead(st, refs)
	}
	return n, err, st, head, undone
}

// maxDepth bounds the walk that measures a reorganisation.
const maxDepth = 8192

// depth is how many blocks of the branch of old are not canonical any more.
func (o *owner) depth(ctx context.Context, old chain.Ref) int {
	for n := 0; n < maxDepth; n++ {
		canonical, err := o.cfg.Chain.Header(ctx, chain.Ref{Number: old.Number})
		if err == nil && canonical.Ref.Hash == old.Hash {
			return n
		}
		h, err := o.cfg.Chain.Header(ctx, old)
		if err != nil || old.Number == 0 {
			return n
		}
		old = chain.Ref{Number: old.Number - 1, Hash: h.Parent}
	}
	return maxDepth
}
