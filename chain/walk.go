package chain

import "context"

// WalkHeaders answers Reader.Headers for a chain that can look up one header
// at a time. The numbers of a range are a peer's choice: none of them can make
// it loop, wrap or allocate.
func WalkHeaders(ctx context.Context, r Range, header func(context.Context, Ref) (Header, error)) ([]Header, error) {
	return walk(ctx, r, header, func(h Header) (Ref, int) { return h.Ref, len(h.Bytes) })
}

// WalkBlocks is WalkHeaders for Reader.Blocks.
func WalkBlocks(ctx context.Context, r Range, block func(context.Context, Ref) (Block, error)) ([]Block, error) {
	return walk(ctx, r, block, func(b Block) (Ref, int) { return b.Ref(), b.Size() })
}

// walk looks up the first item by r.From, and those after it by number.
func walk[T any](ctx context.Context, r Range, get func(context.Context, Ref) (T, error), what func(T) (Ref, int)) (out []T, _ error) {
	item, err := get(ctx, r.From)
	if err != nil {
		return nil, err
	}
	sum, step := 0, uint64(r.Skip)+1
	for err == nil && len(out) < r.Count {
		ref, size := what(item)
		if sum += size; r.MaxBytes > 0 && sum > r.MaxBytes && len(out) > 0 {
			break
		}
		out = append(out, item)
		next := ref.Number + step
		if r.Reverse {
			next = ref.Number - step
		}
		if r.Reverse != (next < ref.Number) {
			break // past the last number, or the first
		}
		item, err = get(ctx, Ref{Number: next})
	}
	return out, nil
}
