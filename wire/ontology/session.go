package ontology

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// Classes of the work that a peer's messages cause.
const (
	workConsensus = iota
	workBlocks
	workTxs
	workServe
)

// question is what an answer is matched with.
type question struct {
	kind codec.Command // of the answer: headers, block, tx, addr
	hash codec.Hash
}

// waiting is how many wait for answers of a kind, and when the last ended.
type waiting struct {
	count int
	last  time.Time
}

// waits notes that somebody waits for an answer of a kind; the func that he does
// no more.
func (s *session) waits(w *waiting) (over func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.count++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		w.count--
		w.last = time.Now()
	}
}

// session is our relation to one peer: its first link, for everything, and
// perhaps one for consensus.
type session struct {
	node    *node
	link    *framed.Link
	conn    *framed.Conn
	info    peer.Info
	nonce   uint64
	kad     codec.PeerID
	hasKad  bool
	soft    codec.Soft
	theirs  codec.Version
	inbound bool
	since   time.Time
	skew    time.Duration // of its clock, as its version told

	ctx    context.Context // ends with the session
	stop   context.CancelFunc
	inbox  *framed.Inbox
	asks   *framed.Requests[question, any]
	keeper *framed.Keeper

	headers chan struct{} // a token for the one question for headers

	unknown, unasked, odd framed.Tally

	mu          sync.Mutex // a leaf
	second      *framed.Link
	height      uint64                   // that the peer claimed last
	asked       map[codec.Hash]time.Time // getdata that was sent, and when
	sweepAt     int                      // of asked, when it is looked through again
	behind      codec.Hash               // of the question for headers that is under way
	blocks      waiting                  // questions for blocks
	spans       waiting                  // and for headers
	held        int                      // bytes of blocks that came and were not taken yet
	ahead       *ahead                   // the headers that the node will ask for; nil: none
	addrs       int                      // questions for addresses whose answers count
	told        time.Time                // when we last told the peer addresses
	toldMembers time.Time
	finding     bucket.Bucket // of findnode that are answered
}

var (
	_ wire.Session = (*session)(nil)
	_ wire.Pinger  = (*session)(nil)
)

// newSession makes the session of a connection whose handshake has passed.
func (n *node) newSession(c *framed.Conn, f *frames, hs *shake, link wire.Link) *session {
	s := &session{
		node: n, conn: c, nonce: hs.theirs.Nonce, kad: hs.kad, hasKad: hs.hasKad, soft: hs.soft, theirs: hs.theirs,
		inbound: !hs.dialled, since: time.Now(), height: hs.theirs.Height,
		asks: framed.NewRequests[question, any](maxAsked), keeper: framed.NewKeeper(),
		finding: bucket.New(maxFinds/tellEvery.Seconds(), maxFinds, time.Now()),
		headers: make(chan struct{}, 1), asked: map[codec.Hash]time.Time{},
	}
	s.ctx, s.stop = context.WithCancel(n.ctx)
	s.skew = time.Unix(0, hs.theirs.Time).Sub(n.cfg.Wall.Now()).Round(time.Millisecond)
	s.info = peer.Info{
		ID: idOf(s.nonce), Wire: Name, Addr: link.Addr, Endpoint: link.Endpoint, Direction: link.Direction,
		Agent: "ontology", Protocols: []string{"ontology/0"}, Opened: n.cfg.Wall.Now(),
	}
	if hs.theirs.Soft != "" {
		s.info.Agent = "ontology/" + hs.theirs.Soft
	}
	if port := hs.theirs.SyncPort; port != 0 && link.Endpoint.IsValid() {
		s.info.Listen = []peer.Addr{addrOf(netip.AddrPortFrom(link.Endpoint.Addr(), port))}
	}
	s.inbox = framed.NewInbox(
		s.charge,
		framed.Class{Name: "consensus", Queue: framed.Bound{Messages: 256, Bytes: 2 << 20}},
		framed.Class{Name: "block", Queue: framed.Bound{Messages: 64, Bytes: 2 << 20}},
		framed.Class{Name: "tx", Queue: framed.Bound{Messages: 256, Bytes: 1 << 20}},
		framed.Class{Name: "request", Queue: framed.Bound{Messages: 512, Bytes: 1 << 20}, Workers: 4},
	)
	f.shaking, f.unknown, f.unwanted = false, s.unheardOf, s.unwanted
	s.link = framed.NewLink(c, framed.Config{
		Handle: s.handle, Fault: s.charge, Dropped: s.dropped, Idle: idleTime,
		Queue: [wire.NumLanes]framed.Bound{
			wire.LaneConsensus:    {Bytes: 2 << 20},
			wire.LaneBlock:        {Bytes: 1 << 20},
			wire.LaneTx:           {Bytes: 2 << 20},
			wire.LaneSync:         {Bytes: 2 << 20},
			wire.LaneHousekeeping: {Messages: 64, Bytes: 256 << 10},
		},
	})
	return s
}

// Peer implements wire.Session.
func (s *session) Peer() peer.Info { return s.info }

// Done implements wire.Session.
func (s *session) Done() <-chan struct{} { return s.link.Done() }

// Close implements wire.Session. The protocol has no word for a reason.
func (s *session) Close(why peer.Reason) { s.link.Close(why) }

// claims is what the peer says of its chain: a height, and only that.
func (s *session) claims(height uint64) chain.Status {
	st := chain.Status{Head: chain.Ref{Number: height}}
	if height > 0 {
		st.Weight = chain.WeightOf(height)
	}
	return st
}

// run carries the session until it ends, and reports that.
func (s *session) run() {
	n := s.node
	var wg sync.WaitGroup
	wg.Go(func() { s.keeper.Run(s.ctx, pingEvery, s.ping) })
	if !s.inbound && n.second.IsValid() && s.theirs.ConsensusPort != 0 && s.soft.DualPort() {
		wg.Go(s.openConsensus)
	}
	s.askAddrs()
	if s.theirs.Time > 0 {
		n.host.Report(wire.Skewed{Session: s, Skew: s.skew})
	}
	end := s.link.Run(n.ctx)
	s.stop()
	n.unclaim(s, nil)
	s.asks.Close()
	n.host.Report(wire.Closed{Session: s, Reason: end.Reason, ByRemote: end.ByRemote})
	wg.Wait()
	s.inbox.Close()
}

// ping tells the peer our height, as every node does each 3 s.
func (s *session) ping() { s.sendPing() }

func (s *session) sendPing() error {
	payload := codec.Ping{Height: s.node.height()}.Append(nil)
	return s.link.Send(s.ctx, wire.LaneHousekeeping, framed.Out{Code: uint64(codec.CmdPing), Payload: payload, Key: uint64(codec.CmdPing)})
}

// Ping implements wire.Pinger.
func (s *session) Ping(ctx context.Context) (time.Duration, error) {
	return s.keeper.Ping(ctx, s.link.Done(), s.sendPing)
}

// charge reports a checkable fault of the peer.
func (s *session) charge(err error) {
	f := faultOf(err)
	s.node.host.Report(wire.Offended{Session: s, Offense: f.Offense, Severity: severity(err), Detail: peer.Clean(err.Error())})
}

// dropped reports messages that a full lane let go.
func (s *session) dropped(l wire.Lane, count int) {
	s.node.host.Report(wire.Dropped{ID: s.info.ID, Queue: l.String(), Count: count})
}
