package relay

import (
	"context"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// courier carries out what the core wants of one session: one goroutine sends,
// one fetches transactions and one blocks, so that none waits for another.
type courier struct {
	id      peer.ID
	session wire.Session
	// tellsSent: its requests tell when they leave (wire.OnSent).
	tellsSent bool

	send  chan Effect // room for one of each queue
	fetch chan Fetch  // room for one
	seek  chan Effect // room for one
	stop  context.CancelFunc
}

// hire starts a courier. It ends with ctx, or when it is dismissed.
func (r *Relay) hire(ctx context.Context, s wire.Session) *courier {
	ctx, stop := context.WithCancel(ctx)
	c := &courier{
		id: s.Peer().ID, session: s, tellsSent: r.cfg.TellsSent, stop: stop,
		send: make(chan Effect, numQueues), fetch: make(chan Fetch, 1), seek: make(chan Effect, 1),
	}
	r.workers.Go(func() {
		for {
			select {
			case e := <-c.send:
				q, err := r.deliver(ctx, c, e)
				r.mail.force(letter{event: Sent{c.id, q, err != nil}, by: c})
			case <-ctx.Done():
				return
			}
		}
	})
	r.workers.Go(func() {
		for {
			select {
			case f := <-c.fetch:
				r.mail.force(letter{event: r.ask(ctx, c, f), by: c})
			case <-ctx.Done():
				return
			}
		}
	})
	if r.cfg.Blocks == nil {
		return c
	}
	r.workers.Go(func() {
		for {
			select {
			case e := <-c.seek:
				r.mail.force(letter{event: r.seek(ctx, c, e), by: c})
			case <-ctx.Done():
				return
			}
		}
	})
	return c
}

// dismiss ends the courier of a peer, if there is one.
func (r *Relay) dismiss(id peer.ID) {
	if c := r.couriers[id]; c != nil {
		c.stop()
		delete(r.couriers, id)
	}
}

// deliver sends one message.
func (r *Relay) deliver(ctx context.Context, c *courier, e Effect) (Queue, error) {
	switch e := e.(type) {
	case Push:
		txs := make([]chain.Tx, 0, len(e.Hashes))
		for _, h := range e.Hashes {
			if tx, ok := r.cfg.Pool.Get(h); ok {
				txs = append(txs, tx)
			}
		}
		if len(txs) == 0 {
			return Pushes, nil
		}
		return Pushes, c.session.Send(ctx, wire.LaneTx, wire.Txs{Txs: txs})
	case Announce:
		return Announces, c.session.Send(ctx, wire.LaneTx, wire.TxAnnounce{Txs: e.Txs})
	case PushBlock:
		return Blocks, c.session.Send(ctx, wire.LaneBlock, wire.Block{Block: e.Block, Weight: e.Weight})
	case AnnounceBlock:
		return Blocks, c.session.Send(ctx, wire.LaneBlock, wire.BlockAnnounce{Ref: e.Ref, Weight: e.Weight})
	}
	return Blocks, wire.ErrUnsupported
}

// ask fetches transactions and has them judged.
func (r *Relay) ask(ctx context.Context, c *courier, f Fetch) Fetched {
	out := Fetched{From: c.id}
	req := wire.GetTxs{Hashes: make([]chain.Hash, len(f.Txs))}
	for i, tx := range f.Txs {
		req.Hashes[i] = tx.Hash
	}
	res, silent, err := c.request(ctx, req)
	list, ok := res.(wire.TxList)
	if err != nil || !ok {
		out.Failed, out.Silent = true, silent
		return out
	}
	settled := r.cfg.Take(ctx, c.session, list.Txs)
	for _, tx := range list.Txs {
		if !settled && (r.cfg.Pool == nil || !r.cfg.Pool.Has(tx.Hash)) {
			out.Open = append(out.Open, tx.Hash)
		}
		out.Got = append(out.Got, wire.TxID{Hash: tx.Hash, Kind: tx.Kind, Size: uint32(len(tx.Bytes))})
	}
	return out
}

// Why a request was given up: it was not answered, or it did not leave us.
var (
	errSilent = errors.New("relay: no answer in time")
	errHeld   = errors.New("relay: a request did not leave in time")
)

// request asks the session, for FetchTimeout at most from when the request left
// us, for which it has as long: that our own uplink is slow is no silence of the
// peer's. Where the wire does not tell when a request leaves, the time counts
// from now. Silent: there was not even a refusal within it.
func (c *courier) request(ctx context.Context, rq wire.Request) (res wire.Response, silent bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(FetchTimeout, func() { cancel(errSilent) })
	defer late.Stop()
	if c.tellsSent {
		late.Stop()
		held := time.AfterFunc(FetchTimeout, func() { cancel(errHeld) })
		defer held.Stop()
		ctx = wire.OnSent(ctx, func(at time.Time) {
			held.Stop()
			late.Reset(time.Until(at.Add(FetchTimeout)))
		})
	}
	res, err = c.session.Request(ctx, rq)
	return res, err != nil && context.Cause(ctx) == errSilent, err
}
