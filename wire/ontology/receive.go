package ontology

import (
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const (
	manyUnknown = 100     // unknown messages in a minute end the session (threat M-09)
	maxHeld     = 5 << 20 // bytes of blocks that came and that nobody has taken yet
	lateAnswers = time.Minute
	maxLate     = 1 << 20 // bytes of an answer that may be late, and is read
	manyUnasked = 20      // answers to nothing in a minute cost more (threat L-08)
)

// errHeld: more came at once than is held.
var errHeld = errors.New("ontology: blocks came faster than they were taken")

func faultOf(err error) *wire.Fault {
	f := &wire.Fault{Offense: peer.BadEncoding, Err: err}
	errors.As(err, &f)
	return f
}

// unheardOf counts a command that nobody here knows.
func (s *session) unheardOf(name string) error {
	fault := &wire.Fault{Offense: peer.UnknownMessage, Err: fmt.Errorf("ontology: unknown command %q", name)}
	switch c := s.unknown.Add(); {
	case c > manyUnknown:
		return fault
	case c > 1:
		s.charge(fault)
	}
	return nil
}

// handle takes in a message. It runs on the link's reader.
func (s *session) handle(f framed.Frame) error {
	cmd, dialect := codec.Command(f.Code), s.soft.Dialect()
	switch cmd {
	case codec.CmdBlock, codec.CmdTx, codec.CmdConsensus, codec.CmdHeaders:
		return s.handleLarge(cmd, f, dialect)
	}
	defer f.Release()
	switch cmd {
	case codec.CmdPing:
		p, err := codec.DecodePing(f.Payload, dialect)
		if err != nil {
			return err
		}
		return s.onPing(s.link, p)
	case codec.CmdPong:
		return on(func(p codec.Pong) {
			s.keeper.Ponged()
			s.claimed(p.Height)
		})(codec.DecodePong(f.Payload, dialect))
	case codec.CmdInv:
		return on(s.onInv)(codec.DecodeInv(f.Payload, dialect))
	case codec.CmdGetData:
		return on(func(g codec.GetData) { s.work(workServe, func() { s.serveData(g) }) })(codec.DecodeGetData(f.Payload, dialect))
	case codec.CmdGetHeaders:
		return on(func(g codec.GetHeaders) { s.work(workServe, func() { s.serveHeaders(g) }) })(codec.DecodeGetHeaders(f.Payload, dialect))
	case codec.CmdNotFound:
		return on(func(m codec.NotFound) { s.onNotFound(m.Hash) })(codec.DecodeNotFound(f.Payload, dialect))
	case codec.CmdGetAddr:
		if err := codec.DecodeGetAddr(f.Payload, dialect); err != nil {
			return err
		}
		s.tellAddrs()
	case codec.CmdAddr:
		return on(s.onAddrs)(codec.DecodeAddr(f.Payload, dialect))
	case codec.CmdFindNode:
		return on(func(m codec.FindNode) { s.tellClosest(m.Target) })(codec.DecodeFindNode(f.Payload))
	case codec.CmdFindNodeAck:
		return on(s.onClosest)(codec.DecodeFindNodeAck(f.Payload))
	case codec.CmdGetMembers:
		return on(s.onGetMembers)(codec.DecodeGetMembers(f.Payload))
	case codec.CmdMembers:
		return on(s.onMembers)(codec.DecodeMembers(f.Payload))
	case codec.CmdOffline:
		// Among members of the consensus subnet, who act on it and pass it on.
		_, err := codec.DecodeOffline(f.Payload)
		return err
	case codec.CmdGetBlocks: // sent by nobody
	default: // disconnect, by which v1.0.0 hangs up, is not obeyed; the handshake is over
		return s.outOfTurn(cmd)
	}
	return nil
}

// on makes of what is done about a message what takes a decoder's result.
func on[M any](do func(M)) func(M, error) error {
	return func(m M, err error) error {
		if err == nil {
			do(m)
		}
		return err
	}
}

// outOfTurn counts a message that has no business here.
func (s *session) outOfTurn(cmd codec.Command) error {
	fault := &wire.Fault{Offense: peer.UnknownMessage, Err: fmt.Errorf("ontology: %s out of turn", cmd)}
	if s.odd.Add() > manyUnknown {
		return fault
	}
	s.charge(fault)
	return nil
}

// work queues something small. Who sends more than is worked on loses it.
func (s *session) work(class int, do func()) {
	if !s.inbox.Put(class, framed.Frame{}, func(framed.Frame) { do() }) {
		s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: "inbox", Count: 1})
	}
}

func (s *session) handleLarge(cmd codec.Command, f framed.Frame, d codec.Dialect) error {
	keep := false
	defer func() {
		if !keep {
			f.Release()
		}
	}()
	switch cmd {
	case codec.CmdHeaders:
		h, err := codec.DecodeHeaders(f.Payload, d)
		if err != nil {
			return err
		}
		return s.onHeaders(h.Headers)
	case codec.CmdBlock:
		b, err := codec.ScanBlock(f.Payload, d)
		if err != nil {
			return err
		}
		return s.gotBlock(b, len(f.Payload))
	case codec.CmdTx:
		t, err := codec.DecodeTx(f.Payload, d)
		if err != nil {
			return err
		}
		// A transaction may always come unasked.
		if s.asks.Answer(question{codec.CmdTx, t.Hash}, t, nil) == framed.Taken {
			return nil
		}
		keep = true
		s.put(workTxs, f, wire.Txs{Txs: []chain.Tx{t.Chain()}})
	case codec.CmdConsensus:
		keep = true
		return s.onConsensus(f, d)
	}
	return nil
}

// put queues a message for the Host to check.
func (s *session) put(class int, f framed.Frame, m wire.Message) {
	if !s.inbox.Put(class, f, func(framed.Frame) { s.node.host.Check(s.ctx, s, m) }) {
		s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: "inbox", Count: 1})
	}
}

// unwanted says whether a large message of that kind is read past, since nobody
// waits for one: it takes no memory then. While an answer may be late, a small
// one is read, to tell which it is. It runs on the link's reader.
func (s *session) unwanted(cmd codec.Command, size int) bool {
	var w *waiting
	switch cmd {
	case codec.CmdBlock:
		w = &s.blocks
	case codec.CmdHeaders:
		w = &s.spans
	default:
		return false
	}
	s.mu.Lock()
	n, late := w.count, !w.last.IsZero() && time.Since(w.last) <= lateAnswers
	s.mu.Unlock()
	switch {
	case n > 0 || late && size <= maxLate:
		return false
	case !late:
		s.chargeUnasked(fmt.Errorf("ontology: %s was not asked for", cmd))
	}
	return true
}

// gotBlock hands a block to whoever asked for it, while what was not taken yet
// has room: of a peer that sends much at once the rest is asked for again.
func (s *session) gotBlock(b codec.Block, size int) error {
	q := question{codec.CmdBlock, b.Header.Hash}
	s.mu.Lock()
	full := s.held > 0 && s.held+size > maxHeld
	if !full {
		s.held += size
	}
	s.mu.Unlock()
	if full {
		s.asks.Answer(q, nil, errHeld)
		return nil
	}
	got := &answer{block: b, size: size}
	switch s.asks.Answer(q, got, nil) {
	case framed.Taken:
		return nil
	case framed.Unasked:
		s.chargeUnasked(fmt.Errorf("ontology: block %s was not asked for", b.Header.Hash))
	}
	s.let(got)
	return nil
}

// answer is a block that nobody has taken yet.
type answer struct {
	block codec.Block
	size  int
	taken bool // under the session's lock
}

// let ends that a block is held.
func (s *session) let(a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !a.taken {
		a.taken = true
		s.held -= a.size
	}
}

// answered hands an answer to whoever asked; one that nobody asked for is a
// fault.
func (s *session) answered(q question, v any) error {
	if s.asks.Answer(q, v, nil) == framed.Unasked {
		s.chargeUnasked(fmt.Errorf("ontology: %s %s was not asked for", q.kind, q.hash))
	}
	return nil
}

// chargeUnasked charges an answer that nobody asked for.
func (s *session) chargeUnasked(err error) {
	fault := &wire.Fault{Offense: peer.Unasked, Err: err}
	report := wire.Offended{Session: s, Offense: fault.Offense, Detail: fault.Error()}
	if s.unasked.Add() > manyUnasked {
		report.Severity = peer.High
	}
	s.node.host.Report(report)
}

// onHeaders finds the question by what the headers follow.
func (s *session) onHeaders(hs []codec.Header) error {
	s.mu.Lock()
	base := s.behind
	s.mu.Unlock()
	if len(hs) > 0 {
		base = hs[0].Prev
	}
	return s.answered(question{codec.CmdHeaders, base}, hs)
}

// onNotFound ends the question at once. What is not asked for any more is none.
func (s *session) onNotFound(h codec.Hash) {
	err := &wire.Refusal{Code: wire.RefusedNotFound}
	for _, kind := range []codec.Command{codec.CmdBlock, codec.CmdTx} {
		if s.asks.Pending(question{kind, h}) {
			s.asks.Answer(question{kind, h}, nil, err)
		}
	}
}

// onPing answers with our height, at most one answer being under way.
func (s *session) onPing(l *framed.Link, p codec.Ping) error {
	if !s.keeper.Pinged() {
		s.charge(&wire.Fault{Offense: peer.PingFlood, Err: errors.New("ontology: more than a ping a second")})
		return nil
	}
	s.claimed(p.Height)
	payload := codec.Pong{Height: s.node.height()}.Append(nil)
	err := l.Send(s.ctx, wire.LaneHousekeeping, framed.Out{Code: uint64(codec.CmdPong), Payload: payload, Key: uint64(codec.CmdPong)})
	if errors.Is(err, wire.ErrQueueFull) {
		return nil
	}
	return err
}

// claimed takes in a height that the peer claims. It is a hint.
func (s *session) claimed(height uint64) {
	s.mu.Lock()
	changed := s.height != height
	s.height = height
	s.mu.Unlock()
	if changed {
		s.node.host.Report(wire.Claimed{Session: s, Status: s.claims(height)})
	}
}

// onInv looks at what the peer has. Blocks are fetched, since the message does
// not tell their numbers; transactions are for the node to fetch.
func (s *session) onInv(i codec.Inv) {
	switch i.Kind {
	case codec.KindBlock:
		s.work(workBlocks, func() { s.fetch(i.Hashes) })
	case codec.KindTx:
		var m wire.TxAnnounce
		for _, h := range i.Hashes {
			m.Txs = append(m.Txs, wire.TxID{Hash: h.Chain()})
		}
		s.work(workTxs, func() { s.node.host.Check(s.ctx, s, m) })
	}
}

// fetch gets announced blocks that we lack and offers them to the Host. What is
// asked for already is on its way.
func (s *session) fetch(hashes []codec.Hash) {
	for _, h := range hashes {
		if s.asks.Pending(question{codec.CmdBlock, h}) {
			continue
		}
		if _, err := s.node.cfg.Header(s.ctx, chain.Ref{Hash: h.Chain()}); !errors.Is(err, chain.ErrNotFound) {
			continue // it is ours, or we cannot tell
		}
		blocks, err := s.getBlocks(s.ctx, []chain.Hash{h.Chain()})
		if err != nil {
			continue // it goes by another way, or it is gone
		}
		s.node.host.Check(s.ctx, s, wire.Block{Block: blocks[0]})
	}
}
