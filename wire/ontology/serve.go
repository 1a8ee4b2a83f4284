package ontology

import (
	"errors"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// serveData answers a getdata. What is refused for whatever reason is "not
// found", the only other answer that there is.
func (s *session) serveData(g codec.GetData) {
	var payload []byte
	cmd := codec.CmdBlock
	switch g.Kind {
	case codec.KindBlock:
		resp, err := s.node.host.Serve(s.ctx, s, wire.GetBlocksByHash{Hashes: []chain.Hash{g.Hash.Chain()}})
		if got, ok := resp.(wire.Blocks); err == nil && ok && len(got.Blocks) == 1 {
			payload = s.encode(got.Blocks[0])
		}
	case codec.KindTx:
		cmd = codec.CmdTx
		resp, err := s.node.host.Serve(s.ctx, s, wire.GetTxs{Hashes: []chain.Hash{g.Hash.Chain()}})
		if got, ok := resp.(wire.TxList); err == nil && ok && len(got.Txs) == 1 {
			payload = got.Txs[0].Bytes
		}
	default:
		return // consensus messages are answered by nobody
	}
	if len(payload) == 0 || len(payload) > cmd.MaxPayload() {
		cmd, payload = codec.CmdNotFound, codec.NotFound{Hash: g.Hash}.Append(nil)
	}
	s.post(s.ctx, wire.LaneSync, cmd, payload)
}

// encode writes a block for the peer: with what travels behind it for newer
// releases, which close the link of whoever sends them one without a state
// root; without it for v1.0.0. nil: not for this peer.
func (s *session) encode(b chain.Block) []byte {
	size := b.Size()
	if s.soft.Dialect() == codec.Lenient {
		size -= len(b.Extra)
		b.Extra = nil
	} else if c := s.node.cfg; len(b.Extra) == 0 && c.StateRoots && b.Header.Ref.Number >= c.StateRootFrom {
		return nil
	}
	out := append(make([]byte, 0, size), b.Header.Bytes...)
	return append(append(out, b.Body...), b.Extra...)
}

// serveHeaders answers a getheaders. An unknown hash gets no answer, as in
// every release; a known one always does, though it be empty.
func (s *session) serveHeaders(g codec.GetHeaders) {
	hs, err := s.findHeaders(g)
	if err != nil {
		return
	}
	out := make([]byte, 4, 4+len(hs)*1024)
	out[0], out[1] = byte(len(hs)), byte(len(hs)>>8)
	for _, h := range hs {
		out = append(out, h.Bytes...)
	}
	s.post(s.ctx, wire.LaneSync, codec.CmdHeaders, out)
}

var errUnknown = errors.New("ontology: no such headers")

// findHeaders reads the question as every release does: the headers behind End;
// where Start is set, as far as that, and of more than 500 the last.
func (s *session) findHeaders(g codec.GetHeaders) ([]chain.Header, error) {
	count, from := codec.MaxHeaders, chain.Ref{Number: 1}
	skip := 0
	if !g.Start.IsZero() {
		top, err := s.oneHeader(g.Start)
		if err != nil {
			return nil, err
		}
		base := uint64(0)
		if !g.End.IsZero() {
			low, err := s.oneHeader(g.End)
			if err != nil || low.Ref.Number >= top.Ref.Number {
				return nil, errUnknown
			}
			base = low.Ref.Number
			if top.Ref.Number-base > codec.MaxHeaders {
				base = top.Ref.Number - codec.MaxHeaders
			}
		}
		count = int(min(codec.MaxHeaders, top.Ref.Number-base))
		from = chain.Ref{Number: base + 1}
	} else if !g.End.IsZero() {
		from, skip = chain.Ref{Hash: g.End.Chain()}, 1 // that one comes along
	}
	if count == 0 {
		return nil, nil
	}
	bound := codec.CmdHeaders.MaxPayload() - 4
	resp, err := s.node.host.Serve(s.ctx, s, wire.GetHeaders{Range: chain.Range{From: from, Count: count + skip, MaxBytes: bound}})
	if err != nil {
		var no *wire.Refusal
		if errors.As(err, &no) && no.Code == wire.RefusedNotFound && skip == 0 {
			return nil, nil // nothing above genesis yet
		}
		return nil, err
	}
	got, ok := resp.(wire.Headers)
	if !ok || len(got.Headers) < skip {
		return nil, errUnknown
	}
	return got.Headers[skip:], nil
}

// oneHeader finds one header by its hash.
func (s *session) oneHeader(h codec.Hash) (chain.Header, error) {
	resp, err := s.node.host.Serve(s.ctx, s, wire.GetHeaders{Range: chain.Range{From: chain.Ref{Hash: h.Chain()}, Count: 1}})
	if err != nil {
		return chain.Header{}, err
	}
	if got, ok := resp.(wire.Headers); ok && len(got.Headers) == 1 {
		return got.Headers[0], nil
	}
	return chain.Header{}, errUnknown
}
