package p2phost

import (
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// Thresholds of gossip scores. The node's own score of a peer, -100 to 100, is
// part of it with weight 1, and the node disconnects at -20 and bans at -50,
// so these come into play for what only gossip sees.
const (
	gossipThreshold   = -20 // no IHAVE and IWANT below
	publishThreshold  = -40 // our own messages are not flooded to it below
	graylistThreshold = -80 // nothing of it is read below
	behaviourSlack    = 4   // of GRAFT in back-off and broken promises, which fade in 10 min
)

// scoreParams weighs what gossip sees of a peer. The library's own measure of
// too few deliveries (P3) is off: it needs to know how often a chain makes
// blocks, and punishes everybody when the chain stands still. tracer.silent
// takes its place.
func scoreParams(app func(libpeer.ID) float64) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		Topics:            map[string]*pubsub.TopicScoreParams{},
		TopicScoreCap:     30,
		AppSpecificScore:  app,
		AppSpecificWeight: 1,
		// Addresses are the node's business.
		IPColocationFactorWeight: 0,
		// GRAFT in back-off, promises that are not kept. A few happen to honest
		// peers that are short of time.
		BehaviourPenaltyWeight:    -5,
		BehaviourPenaltyThreshold: behaviourSlack,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(10 * time.Minute),
		DecayInterval:             time.Second,
		DecayToZero:               0.01,
		RetainScore:               10 * time.Minute, // a reconnect forgives nothing
	}
	thresholds := &pubsub.PeerScoreThresholds{
		GossipThreshold:             gossipThreshold,
		PublishThreshold:            publishThreshold,
		GraylistThreshold:           graylistThreshold,
		AcceptPXThreshold:           1000, // out of reach: peers come from discovery
		OpportunisticGraftThreshold: 1,
	}
	return params, thresholds
}

// topicScore weighs a peer's part in one topic.
func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight: 1,
		// At most 3 for an hour in the mesh: a tie-break.
		TimeInMeshWeight:  0.05,
		TimeInMeshQuantum: time.Minute,
		TimeInMeshCap:     60,
		// Being first is what a mesh peer is for.
		FirstMessageDeliveriesWeight: 1,
		FirstMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(5 * time.Minute),
		FirstMessageDeliveriesCap:    20,
		// The square counts. The node's own score has 10 less for each: after
		// two the peer gets no gossip, after three nothing of ours is flooded to
		// it. The fifth must still be read, since it is what bans the peer: four
		// weigh -64, and -74 with silence, which is over graylistThreshold.
		InvalidMessageDeliveriesWeight: -1.5,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(10 * time.Minute),
	}
}

// params are gossipsub's own, as the library has them but for these.
func params() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	// IDONTWANT makes an honest mesh peer look silent and pays off only for
	// what is large.
	p.IDontWantMessageThreshold = 64 << 10
	p.Connectors = 1 // gossip opens no connections: see sessionHost.Connect
	p.MaxPendingConnections = 1
	return p
}
