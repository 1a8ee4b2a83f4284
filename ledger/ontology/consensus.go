package ontology

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/recent"
	"github.com/starlingp2p/starling/ledger/internal/txpool"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// consensusQueue is how many messages a subscriber may lag behind; none has
// more than codec.MaxConsensus bytes.
const consensusQueue = 256

// ConsensusMessage is a message of the consensus that was taken. It is never
// changed once it is made, and may be kept.
type ConsensusMessage struct {
	From    peer.ID // who brought it
	Message codec.Consensus
	Bytes   []byte
	// Member says that the chain names its owner. Where the chain names
	// nobody, it is false.
	Member bool
}

// Consensus is the chain.Consensus of a node that takes no part itself: it
// checks each message against the key in it and, where the chain names who may
// speak, against those, and hands it to whoever subscribes. It is safe for
// concurrent use and starts no goroutine.
type Consensus struct {
	f *Family
	r chain.Reader

	mu      sync.Mutex // a leaf; never held while the disk is read or a signature is checked
	at      chain.Hash // the head for which force is known; zero: none
	force   [][]byte   // the keys in force, sorted; nil: the chain does not name them
	seen    recent.Set[chain.Hash]
	dropped map[string]uint64

	feed *txpool.Feed[ConsensusMessage]
}

var _ chain.Consensus = (*Consensus)(nil)

// NewConsensus makes one for a family and its chain.
func NewConsensus(f *Family, r chain.Reader) *Consensus {
	return &Consensus{
		f: f, r: r, seen: recent.NewSet[chain.Hash](unfitKept), dropped: map[string]uint64{},
		feed: txpool.NewFeed[ConsensusMessage](consensusQueue),
	}
}

// Handle implements chain.Consensus. It may read the disk, once for each head,
// and uses CPU.
//
// A message of somebody whom the chain does not name is nobody's fault as a
// rule: its sender may know a block that we do not. It is one where the message
// is for the block after our head.
func (c *Consensus) Handle(ctx context.Context, from peer.ID, msg []byte) chain.Verdict {
	m, member, v := c.judge(ctx, msg)
	c.mu.Lock()
	defer c.mu.Unlock()
	digest := chain.Hash(sha256.Sum256(msg))
	if v.Action == chain.Accept && c.seen.Has(digest) { // it came twice at once
		v = chain.Ignored("known")
	}
	if v.Action != chain.Accept {
		c.dropped[v.Reason]++
		return v
	}
	c.seen.Add(digest)
	lost := c.feed.Publish(ConsensusMessage{From: from, Message: m, Bytes: msg, Member: member})
	c.dropped[txpool.SubscriberLags] += uint64(len(lost))
	return v
}

func (c *Consensus) judge(ctx context.Context, msg []byte) (m codec.Consensus, member bool, v chain.Verdict) {
	c.mu.Lock()
	known := c.seen.Has(sha256.Sum256(msg))
	c.mu.Unlock()
	if known {
		return m, false, chain.Ignored("known")
	}
	m, err := codec.DecodeConsensus(msg, codec.Lenient)
	if err != nil {
		return m, false, chain.Rejected("bad-encoding")
	}
	head := c.r.Status().Head
	force := c.inForce(ctx, head)
	_, member = slices.BinarySearchFunc(force, m.Owner, bytes.Compare)
	switch {
	case member || force == nil:
	case m.Prev.Chain() == head.Hash && uint64(m.Height) == head.Number+1:
		return m, false, chain.RejectedAt(peer.Low, "not-a-validator")
	default:
		return m, false, chain.Ignored("not-a-validator")
	}
	switch err := m.Verify(); {
	case errors.Is(err, codec.ErrKeyKind):
		return m, false, chain.Ignored("unknown-key-kind")
	case err != nil:
		return m, false, chain.Rejected(badSignature)
	}
	return m, member, chain.Accepted()
}

// Validators implements chain.Consensus: none where the chain does not name
// them. It may read the disk, once for each head. Who is whose peer is not
// known: identities of this wire prove nothing.
func (c *Consensus) Validators(ctx context.Context) []chain.Validator {
	var all []chain.Validator
	for _, k := range c.inForce(ctx, c.r.Status().Head) {
		all = append(all, chain.Validator{Key: slices.Clone(k)})
	}
	return all
}

// Subscribe gives messages as they are taken, until ctx ends and the channel is
// closed. A reader that lags loses the oldest.
func (c *Consensus) Subscribe(ctx context.Context) <-chan ConsensusMessage {
	return c.feed.Subscribe(ctx)
}

// Dropped counts, by reason, what was not taken or was lost to a lagging
// subscriber.
func (c *Consensus) Dropped() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.dropped)
}

// inForce are the keys that the chain up to head names, sorted; nil: it names
// none, or none that we know of.
func (c *Consensus) inForce(ctx context.Context, head chain.Ref) [][]byte {
	c.mu.Lock()
	at, force := c.at, c.force
	c.mu.Unlock()
	if at == head.Hash {
		return force
	}
	force, err := c.f.inForce(ctx, c.r, head)
	if err != nil {
		return nil // asked again with the next message
	}
	slices.SortFunc(force, bytes.Compare)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.force = head.Hash, force
	return force
}

// inForce are the keys that may speak after a block: in a VBFT network those of
// the configuration in force. Elsewhere a block names its successor's signers by
// their address only, so they are known where they signed this one, or are the
// first ones.
func (f *Family) inForce(ctx context.Context, r chain.Reader, head chain.Ref) ([][]byte, error) {
	ch, err := r.Header(ctx, head)
	if err != nil {
		return nil, fmt.Errorf("ontology: head: %w", err)
	}
	h, err := codec.DecodeHeader(ch.Bytes)
	if err != nil {
		return nil, fmt.Errorf("ontology: head: %w", err)
	}
	if f.network.kind() == VBFT {
		return f.membersAfter(h)
	}
	signed, err := f.parse(h.Keys)
	if err != nil {
		return nil, err
	}
	first, err := f.network.keys()
	if err != nil {
		return nil, err
	}
	for _, keys := range [][]codec.Key{signed, first} {
		at, err := codec.AddressOfBookkeepers(keys)
		if err != nil {
			continue
		}
		if at == h.NextBookkeeper || len(keys) == 1 && codec.AddressOfKey(keys[0].Bytes()) == h.NextBookkeeper {
			var raw [][]byte
			for _, k := range keys {
				raw = append(raw, k.Bytes())
			}
			return raw, nil
		}
	}
	return nil, nil
}

// membersAfter are the keys of the configuration that counts after a header.
func (f *Family) membersAfter(h codec.Header) ([][]byte, error) {
	info, err := parseInfo(h.Payload)
	if err != nil {
		return nil, err
	}
	number := info.LastConfig
	if info.Config != nil {
		number = h.Height
	}
	m, err := f.membersAt(number)
	if err != nil {
		return nil, err
	}
	raw := make([][]byte, 0, len(m.keys))
	for k := range m.keys { // the caller sorts them
		raw = append(raw, []byte(k))
	}
	return raw, nil
}
