package relay

import (
	"container/list"
	"math/rand/v2"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Bounds and times. Those of fetching and packing are go-ethereum's
// (eth/fetcher, eth/protocols/eth), so that its nodes see a peer at their own
// pace.
const (
	maxKnownTxs    = 64 << 10
	maxKnownBlocks = 1024
	maxQueued      = 4096      // transactions that wait to be sent to a peer, of each queue
	maxAnnounced   = 4096      // transactions that one peer announced and that are not here yet
	maxWants       = 64 << 10  // of all peers
	maxPending     = 32 << 10  // of what a new peer is told
	maxWaves       = 4096      // transactions of which some peers are told later
	maxBlocks      = 4         // that wait to be sent to a peer, of each form
	packBytes      = 100 << 10 // of one message
	announceBytes  = 37        // that one announced transaction takes

	waveStep    = time.Second // to which the times of waves are rounded
	gatherSlack = 100 * time.Millisecond
	fetchTxs    = 256 // of one request
	fetchBytes  = 128 << 10

	// FetchTimeout is how long an answer to a Fetch may take.
	FetchTimeout = 5 * time.Second

	sizeSlack   = 8           // bytes by which an announced size may be off
	longestRest = time.Minute // of a peer that does not answer
	floodUnit   = 1000        // announcements over the bound, within floodTime, that cost one charge
	floodTime   = time.Minute
	memory      = 64 // blocks that were checked and may become part of our chain
)

// CoreConfig says what the core may do. PushBytes 0 is 4096.
type CoreConfig struct {
	Policy Policy
	Rand   *rand.Rand
	// PushBytes is the size over which a transaction is only announced.
	PushBytes uint32
	// OnlyAnnounced is a kind of transactions that are never pushed; 0: none.
	OnlyAnnounced byte
	// AnnounceTxs, PushBlocks and AnnounceBlocks are what the wire can send.
	// Without AnnounceTxs every transaction goes in full to all.
	AnnounceTxs, PushBlocks, AnnounceBlocks bool
	// OwnBlocksOnly: peers are told of our own blocks and of no others.
	OwnBlocksOnly bool
	// FetchTxs is how many transactions one Fetch may ask for; 0: 256, which is
	// the most.
	FetchTxs int
	// MayBeSilent: the wire lets a peer leave a request unanswered.
	MayBeSilent bool
}

// Core decides who is told what. It is pure: one goroutine at a time may call
// it.
type Core struct {
	cfg CoreConfig
	key [16]byte // of the order in which peers are told
	// phase shifts the times of waves, so that two peers do not tell each other
	// at the same moment.
	phase time.Duration
	now   time.Time
	out   []Effect

	open   bool
	peers  []*remote // by joining
	byID   map[peer.ID]*remote
	txs    *known
	blocks *known

	waves   list.List          // of *wave, by time
	held    map[chain.Hash]int // waves of a transaction
	wants   map[chain.Hash]*want
	waiting list.List // of *want that may still be pushed, by time
	drawn   peer.ID   // the new peer that a pack of pending ones is under way to; empty: none

	checked []candidate // the newest last
	drops   map[string]uint64

	sought  map[chain.Hash]*sought
	lines   [numStages]list.List // of *sought in stages that end by themselves, by time
	askable bool                 // somebody may be asked for a block who could not before
}

// remote is a peer.
type remote struct {
	id peer.ID
	n  int // its number among those that know

	pushes    []wire.TxID // wait to be sent
	announces []wire.TxID
	blocks    []news
	pending   []wire.TxID // what a new peer has not been told yet
	busy      [numQueues]bool

	claims    []*want // that it announced, by time; those that are done are swept out now and then
	announced int     // of claims, those that are not done
	asked     []*want // the request that is under way; nil: none
	idle      bool    // none of claims can be asked of it now
	rests     time.Time
	misses    int // requests in a row that failed
	silent    int // requests in a row without an answer
	flood     flood

	seek seeker
}

// NewCore makes a core without peers, its gate shut.
func NewCore(cfg CoreConfig) *Core {
	if cfg.PushBytes == 0 {
		cfg.PushBytes = 4096
	}
	if cfg.FetchTxs <= 0 || cfg.FetchTxs > fetchTxs {
		cfg.FetchTxs = fetchTxs
	}
	c := &Core{
		cfg: cfg, byID: make(map[peer.ID]*remote), wants: make(map[chain.Hash]*want), held: make(map[chain.Hash]int),
		txs: newKnown(maxKnownTxs), blocks: newKnown(maxKnownBlocks), drops: make(map[string]uint64),
		sought: make(map[chain.Hash]*sought),
	}
	for i := range c.key {
		c.key[i] = byte(cfg.Rand.Uint32())
	}
	c.phase = time.Duration(cfg.Rand.Int64N(int64(waveStep)))
	return c
}

// Step takes one event in. The effects are the caller's, to be carried out in
// order.
func (c *Core) Step(now time.Time, ev Event) []Effect {
	c.now, c.out = now, nil
	switch ev := ev.(type) {
	case Joined:
		c.onJoined(ev.Peer)
	case Left:
		c.onLeft(ev.Peer)
	case Added:
		c.onAdded(ev)
	case Seen:
		c.onSeen(ev)
	case Settled:
		for _, h := range ev.Hashes {
			c.forget(h)
		}
	case Announced:
		c.onAnnounced(ev)
	case Fetched:
		c.onFetched(ev)
	case Sent:
		c.onSent(ev)
	case Pending:
		c.onPending(ev)
	case Checked:
		c.onChecked(ev)
		c.blockChecked(ev.Block.Ref().Hash)
	case Imported:
		c.onImported(ev)
		c.blocksImported(ev.Refs)
	case BlockAnnounced:
		c.onBlockAnnounced(ev)
	case Refused:
		c.onRefused(ev)
	case HeaderFetched:
		c.onHeaderFetched(ev)
	case BodiesFetched:
		c.onBodiesFetched(ev)
	case Synced:
		c.onSynced(ev)
	case BlockSeen:
		if p := c.byID[ev.From]; p != nil {
			c.blocks.note(p.n, ev.Hash)
		}
	case Gate:
		c.onGate(ev.Open)
	case Tick:
	}
	c.widen()
	c.fetch()
	c.seek()
	return c.out
}

// Next is when the core wants a Tick; zero: never.
func (c *Core) Next() time.Time {
	var next time.Time
	sooner := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if e := c.waves.Front(); e != nil {
		sooner(e.Value.(*wave).at)
	}
	if e := c.waiting.Front(); e != nil {
		sooner(e.Value.(*want).due)
	}
	for s := range numStages {
		if w := c.firstOf(s); w != nil {
			sooner(w.due)
		}
	}
	for _, p := range c.peers {
		if p.asked == nil && p.announced > 0 && p.rests.After(c.now) {
			sooner(p.rests)
		}
		if len(p.seek.sought) > 0 && !p.seek.rests.IsZero() {
			sooner(p.seek.rests)
		}
	}
	return next
}

// Drops counts what was let go, by a fixed reason.
func (c *Core) Drops() map[string]uint64 {
	out := make(map[string]uint64, len(c.drops))
	for reason, n := range c.drops {
		out[reason] = n
	}
	return out
}

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

func (c *Core) onJoined(id peer.ID) {
	if c.byID[id] != nil {
		c.onLeft(id)
	}
	p := &remote{id: id, n: c.txs.number()}
	c.blocks.number() // the same: both are asked in step
	c.peers = append(c.peers, p)
	c.byID[id] = p
	if c.cfg.AnnounceTxs {
		c.do(ReadPending{To: id})
	}
}

func (c *Core) onLeft(id peer.ID) {
	p := c.byID[id]
	if p == nil {
		return
	}
	delete(c.byID, id)
	for i, q := range c.peers {
		if q == p {
			c.peers = append(c.peers[:i], c.peers[i+1:]...)
			break
		}
	}
	c.txs.release(p.n)
	c.blocks.release(p.n)
	for _, w := range p.claims {
		c.disclaim(w, p)
	}
	c.leaveBlocks(p)
	if c.drawn == id {
		c.drawn = ""
		c.draw()
	}
}

// onSent goes on with what waits for the same peer.
func (c *Core) onSent(ev Sent) {
	p := c.byID[ev.To]
	if p == nil {
		return
	}
	p.busy[ev.Queue] = false
	if ev.Failed {
		switch ev.Queue {
		case Pushes:
			c.drop("send-failed", len(p.pushes))
			p.pushes = nil
		case Announces:
			c.drop("send-failed", len(p.announces)+len(p.pending))
			p.announces, p.pending = nil, nil
		case Blocks:
			c.drop("send-failed", len(p.blocks))
			p.blocks = nil
		}
	}
	if ev.Queue == Announces && c.drawn == p.id {
		c.drawn = ""
	}
	c.flush(p)
	c.draw()
}

// neverPushed reports transactions that are only announced.
func (c *Core) neverPushed(tx wire.TxID) bool {
	return c.cfg.OnlyAnnounced != 0 && tx.Kind == c.cfg.OnlyAnnounced
}

func (c *Core) drop(reason string, n int) {
	if n > 0 {
		c.drops[reason] += uint64(n)
	}
}
