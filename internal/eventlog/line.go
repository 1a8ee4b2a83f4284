package eventlog

import (
	"encoding/json"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Version is that of a record's encoding. Fields are added, never renamed.
const Version = 1

// Names of the events, one for each kind.
const (
	PeerOpened     = "peer-opened"
	PeerClosed     = "peer-closed"
	PeerRefused    = "peer-refused"
	PeerNotDialled = "peer-not-dialled"
	PeerCharged    = "peer-charged"
	PeerBanned     = "peer-banned"
	PeerUnbanned   = "peer-unbanned"
	HeadChanged    = "head-changed"
	BlockSeen      = "block-seen"
	Published      = "published"
	SyncChanged    = "sync-changed"
	TopicChanged   = "topic-changed"
	ClockSuspected = "clock-suspected"
	ClockJumped    = "clock-jumped"
	Alarm          = "alarm"
)

// maxList bounds the lists in a record.
const maxList = 64

// maxImports bounds the number of imported blocks that a record tells of.
const maxImports = 1024

// line is a record as it is encoded: one flat object. Which fields belong to
// which event is said by fill and event.
type line struct {
	V     int       `json:"v"`
	ID    uint64    `json:"id"`
	Time  time.Time `json:"time"`
	Event string    `json:"event"`

	Missed    uint64   `json:"missed,omitempty"`
	Peer      string   `json:"peer,omitempty"`
	Who       string   `json:"who,omitempty"` // an identity or an address prefix
	Addr      string   `json:"addr,omitempty"`
	Direction string   `json:"direction,omitempty"`
	Wire      string   `json:"wire,omitempty"`
	Agent     string   `json:"agent,omitempty"`
	Protocols []string `json:"protocols,omitempty"`
	Listen    []string `json:"listen,omitempty"`
	Proven    bool     `json:"proven,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	ByRemote  bool     `json:"by_remote,omitempty"`
	ByScore   bool     `json:"by_score,omitempty"`
	Detail    string   `json:"detail,omitempty"`
	Offense   string   `json:"offense,omitempty"`
	Points    int      `json:"points,omitempty"`
	Score     float64  `json:"score,omitempty"`
	Seconds   float64  `json:"seconds,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Network   string   `json:"network,omitempty"`
	Number    uint64   `json:"number,omitempty"`
	Hash      string   `json:"hash,omitempty"`
	Finalized uint64   `json:"finalized,omitempty"`
	Earliest  uint64   `json:"earliest,omitempty"`
	Imports   int      `json:"imports,omitempty"` // blocks imported with it; 1024: that many or more
	MeshPeers int      `json:"mesh_peers,omitempty"`
	Queued    int      `json:"queued,omitempty"`
	Dropped   int      `json:"dropped,omitempty"`
	Error     string   `json:"error,omitempty"`
	ErrorCode string   `json:"error_code,omitempty"` // one of PublishErrors
	What      string   `json:"what,omitempty"`
	Cause     string   `json:"cause,omitempty"`
	Topic     string   `json:"topic,omitempty"`
	On        bool     `json:"on,omitempty"`
	Text      string   `json:"text,omitempty"`
}

// MarshalJSON implements json.Marshaler. The object holds no text of a remote
// that was not cut and cleaned.
func (r Record) MarshalJSON() ([]byte, error) { return json.Marshal(lineOf(r)) }

func lineOf(r Record) line {
	l := line{V: Version, ID: r.ID, Time: r.Time.UTC(), Missed: r.Missed}
	l.fill(r.Event)
	return l
}

// Name is the name of an event's kind: "peer-opened". It is "unknown" for a kind
// that has no encoding, which a test of this package does not let pass.
func Name(ev starling.Event) string {
	var l line
	l.fill(ev)
	return l.Event
}

// fill writes an event's fields.
func (l *line) fill(ev starling.Event) {
	switch ev := ev.(type) {
	case starling.PeerOpened:
		l.Event, l.Peer, l.Addr = PeerOpened, id(ev.Info.ID), peer.Clean(ev.Info.Addr.Text)
		l.Wire, l.Direction, l.Proven, l.Agent = peer.Clean(ev.Info.Wire), ev.Info.Direction.String(), ev.Info.Proven, peer.Clean(ev.Info.Agent)
		for _, a := range ev.Info.Listen[:min(len(ev.Info.Listen), maxList)] {
			l.Listen = append(l.Listen, peer.Clean(a.Text))
		}
		for _, p := range ev.Info.Protocols[:min(len(ev.Info.Protocols), maxList)] {
			l.Protocols = append(l.Protocols, peer.Clean(p))
		}
	case starling.PeerClosed:
		l.Event, l.Peer, l.Reason, l.ByRemote, l.Detail = PeerClosed, id(ev.ID), peer.Clean(string(ev.Reason)), ev.ByRemote, peer.Clean(ev.Detail)
	case starling.PeerRefused:
		l.Event, l.Peer, l.Addr, l.Direction = PeerRefused, id(ev.ID), peer.Clean(ev.Addr.Text), ev.Direction.String()
		l.Reason, l.ByRemote, l.Detail = peer.Clean(string(ev.Reason)), ev.ByRemote, peer.Clean(ev.Detail)
	case starling.PeerNotDialled:
		l.Event, l.Peer, l.Addr, l.Reason, l.Detail = PeerNotDialled, id(ev.ID), peer.Clean(ev.Addr.Text), peer.Clean(string(ev.Reason)), peer.Clean(ev.Detail)
	case starling.PeerCharged:
		l.Event, l.Peer, l.Offense, l.Points = PeerCharged, id(ev.ID), peer.Clean(string(ev.Offense)), int(ev.Severity)
		l.Score, l.Detail = finite(ev.Score), peer.Clean(ev.Detail)
	case starling.PeerBanned:
		l.Event, l.Who, l.Seconds, l.Reason, l.ByScore = PeerBanned, peer.Clean(ev.Who), ev.For.Seconds(), peer.Clean(ev.Reason), ev.ByScore
	case starling.PeerUnbanned:
		l.Event, l.Who = PeerUnbanned, peer.Clean(ev.Who)
	case starling.HeadChanged:
		l.Event, l.Network, l.Imports = HeadChanged, peer.Clean(ev.Status.Network), min(len(ev.Blocks), maxImports)
		l.ref(ev.Status.Head)
		l.Finalized, l.Earliest = ev.Status.Finalized.Number, ev.Status.Earliest
	case starling.BlockSeen:
		l.Event, l.Peer = BlockSeen, id(ev.From)
		l.ref(ev.Ref)
	case starling.Published:
		l.Event, l.Kind = Published, peer.Clean(ev.Kind)
		l.ref(ev.Ref)
		l.MeshPeers, l.Queued, l.Dropped = ev.Receipt.MeshPeers, ev.Receipt.Queued, ev.Receipt.Dropped
		if ev.Err != nil {
			l.Error, l.ErrorCode = peer.Clean(ev.Err.Error()), PublishError(ev.Err)
		}
	case starling.SyncChanged:
		l.Event, l.What, l.Cause, l.Detail = SyncChanged, peer.Clean(ev.What), peer.Clean(ev.Cause), peer.Clean(ev.Detail)
	case starling.TopicChanged:
		l.Event, l.Peer, l.Topic, l.On = TopicChanged, id(ev.ID), peer.Clean(ev.Topic), ev.Joined
	case starling.ClockSuspected:
		l.Event, l.On, l.Seconds = ClockSuspected, ev.On, ev.Skew.Seconds()
	case starling.ClockJumped:
		l.Event, l.Seconds = ClockJumped, ev.By.Seconds()
	case starling.Alarm:
		l.Event, l.Text = Alarm, peer.Clean(ev.Text)
	default:
		l.Event = "unknown"
	}
}

// ref writes a block's number and hash; neither for the zero Ref.
func (l *line) ref(r chain.Ref) {
	l.Number = r.Number
	if !r.Hash.IsZero() {
		l.Hash = r.Hash.String()
	}
}

func id(v peer.ID) string { return peer.Clean(string(v)) }

// finite keeps out what JSON has no word for.
func finite(v float64) float64 {
	if v != v || v > 1e9 || v < -1e9 {
		return 0
	}
	return v
}
