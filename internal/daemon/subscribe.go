package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/rpc"
)

// PeerEvent is a notification of admin_subscribe("peerEvents"), in geth's shape
// (p2p.PeerEvent).
type PeerEvent struct {
	Type   string `json:"type"` // "add" or "drop"
	Peer   string `json:"peer"`
	Error  string `json:"error,omitempty"`  // drop: the reason
	Remote string `json:"remote,omitempty"` // add: its address
}

// HeadEvent is a notification of starling_subscribe("heads").
type HeadEvent struct {
	V         int    `json:"v"`
	Number    uint64 `json:"number"`
	Hash      string `json:"hash"`
	Finalized uint64 `json:"finalized"`
}

// BlockEvent is a notification of starling_subscribe("blocks"): a block that
// was imported. While blocks come in large batches, as in a first sync, it has
// number and hash alone.
type BlockEvent struct {
	V      int        `json:"v"`
	Number uint64     `json:"number"`
	Hash   string     `json:"hash"`
	Time   *time.Time `json:"time,omitempty"`
	Bytes  int        `json:"bytes,omitempty"`
	Txs    *int       `json:"txs,omitempty"`
}

// A subscription reads so many records at once, and looks into the blocks of a
// batch that is no larger than that.
const (
	recordsAtOnce = 64
	blocksAtOnce  = 16
)

// feeds are what can be subscribed to.
func (n *Node) feeds() []rpc.Feed {
	return []rpc.Feed{
		{
			Namespace: "admin", Name: "peerEvents", Doc: "Sessions that open (add) and end (drop), in geth's shape.", Result: PeerEvent{},
			Open: n.open(func(_ context.Context, recs []eventlog.Record, send func(any) error) error {
				return each(recs, n.peerEvent, send)
			}),
		},
		{
			Namespace: "starling", Name: "events", Doc: "All that happens, as records that carry number, time and kind. Options: an array of the kinds that are wanted.",
			Result: json.RawMessage(nil), Open: n.openEvents,
		},
		{
			Namespace: "starling", Name: "heads", Doc: "The head, when it changes. Of heads that follow each other quickly only the last is told.", Result: HeadEvent{},
			Open: n.open(lastHead),
		},
		{
			Namespace: "starling", Name: "blocks", Doc: "Each block that is imported, in order.", Result: BlockEvent{},
			Open: n.open(n.blockEvents),
		},
	}
}

// texts are notifications that subscriptions share.
type texts struct {
	records *shared[uint64]
	blocks  *shared[chain.Ref]
}

func newTexts() texts { return texts{newShared[uint64](), newShared[chain.Ref]()} }

// turn makes notifications of records, the oldest first.
type turn func(ctx context.Context, recs []eventlog.Record, send func(any) error) error

// open opens a feed that takes no options and begins with the next record.
func (n *Node) open(do turn) func(json.RawMessage) (rpc.Reader, error) {
	return func(params json.RawMessage) (rpc.Reader, error) {
		if err := rpc.Params(params); err != nil {
			return nil, err
		}
		return n.follow(do), nil
	}
}

// openEvents takes the kinds of events that are wanted.
func (n *Node) openEvents(params json.RawMessage) (rpc.Reader, error) {
	const most = 64
	var kinds []string
	if err := rpc.Params(params, &kinds); err != nil {
		return nil, err
	}
	if len(kinds) > most {
		return nil, rpc.BadParams("%d kinds of events, want at most %d", len(kinds), most)
	}
	return n.follow(func(_ context.Context, recs []eventlog.Record, send func(any) error) error {
		for _, r := range recs {
			if len(kinds) > 0 && !slices.Contains(kinds, eventlog.Name(r.Event)) {
				continue
			}
			text, err := n.texts.records.get(r.ID, func() any { return r })
			if err == nil {
				err = send(text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}), nil
}

// follow reads the log from now on, at the reader's pace: nobody waits for it,
// and when it is too far behind it ends.
func (n *Node) follow(do turn) rpc.Reader {
	at := n.events.Last()
	return func(ctx context.Context, send func(any) error) error {
		for {
			if err := n.events.Wait(ctx, at); err != nil {
				if errors.Is(err, eventlog.ErrEnded) {
					return nil
				}
				return err
			}
			recs, missed := n.events.Since(at, rpc.MaxLag+1)
			if missed > 0 || len(recs) > rpc.MaxLag {
				return rpc.Lagging(n.events.Last() - at)
			}
			recs = recs[:min(len(recs), recordsAtOnce)]
			if err := do(ctx, recs, send); err != nil {
				return err
			}
			at = recs[len(recs)-1].ID
		}
	}
}

// each sends what a record becomes, if anything.
func each(recs []eventlog.Record, of func(eventlog.Record) (any, bool), send func(any) error) error {
	for _, r := range recs {
		if v, ok := of(r); ok {
			if err := send(v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n *Node) peerEvent(r eventlog.Record) (any, bool) {
	switch ev := r.Event.(type) {
	case starling.PeerOpened:
		remote := ev.Info.Addr.Text
		if ev.Info.Endpoint.IsValid() {
			remote = ev.Info.Endpoint.String()
		}
		return PeerEvent{Type: "add", Peer: n.adminID(ev.Info.ID), Remote: remote}, true
	case starling.PeerClosed:
		return PeerEvent{Type: "drop", Peer: n.adminID(ev.ID), Error: string(ev.Reason)}, true
	}
	return nil, false
}

func lastHead(_ context.Context, recs []eventlog.Record, send func(any) error) error {
	for _, r := range slices.Backward(recs) {
		if ev, ok := r.Event.(starling.HeadChanged); ok {
			head := ev.Status.Head
			return send(HeadEvent{V: 1, Number: head.Number, Hash: head.Hash.String(), Finalized: ev.Status.Finalized.Number})
		}
	}
	return nil
}

func (n *Node) blockEvents(ctx context.Context, recs []eventlog.Record, send func(any) error) error {
	for _, r := range recs {
		ev, ok := r.Event.(starling.HeadChanged)
		if !ok {
			continue
		}
		for _, ref := range ev.Blocks {
			text, err := n.texts.blocks.get(ref, func() any {
				out := BlockEvent{V: 1, Number: ref.Number, Hash: ref.Hash.String()}
				if len(ev.Blocks) <= blocksAtOnce {
					// Others share what is made here, so it does not end with this reader.
					n.lookInto(context.WithoutCancel(ctx), ref, &out)
				}
				return out
			})
			if err == nil {
				err = send(text)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// lookInto tells more of a block, if it is there yet.
func (n *Node) lookInto(ctx context.Context, ref chain.Ref, out *BlockEvent) {
	b, err := n.stack.chain.Block(ctx, ref)
	if err != nil {
		return
	}
	at := b.Header.Time.UTC()
	out.Time, out.Bytes = &at, b.Size()
	if txs, err := n.stack.txs(b); err == nil {
		count := len(txs)
		out.Txs = &count
	}
}

// snapshot is what an event stream begins with.
func (n *Node) snapshot() any {
	return Snapshot{V: 1, Status: n.Status(), Peers: n.peers()}
}

// Snapshot is the node as a reader of events first sees it.
type Snapshot struct {
	V      int         `json:"v"`
	Status StatusReply `json:"status"`
	Peers  []PeerReply `json:"peers"`
}
