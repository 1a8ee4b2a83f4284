package daemon

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/starlingp2p/starling"
)

// Kinds of Event.
const (
	EventReady  = "ready"
	EventHead   = "head"
	EventPeer   = "peer"
	EventBan    = "ban"
	EventCharge = "charge"
	EventSync   = "sync"
	EventAlarm  = "alarm"
	EventStop   = "stopped"
)

// Event is a line that "run --json" prints. Fields are added, never renamed.
type Event struct {
	V     int    `json:"v"`
	Event string `json:"event"`

	ID      string   `json:"id,omitempty"`      // ready: ours; peer, ban, charge: theirs
	Addrs   []string `json:"addrs,omitempty"`   // ready
	Socket  string   `json:"socket,omitempty"`  // ready
	RPC     string   `json:"rpc,omitempty"`     // ready: where JSON-RPC is over HTTP
	Metrics string   `json:"metrics,omitempty"` // ready: of the listener besides the RPC
	Admin   string   `json:"admin,omitempty"`   // ready: of profiles
	Engine  string   `json:"engine,omitempty"`  // ready: where a consensus client calls
	Number  uint64   `json:"number,omitempty"`  // ready, head
	Hash    string   `json:"hash,omitempty"`    // ready, head
	Imports int      `json:"imports,omitempty"` // head: blocks imported with it
	What    string   `json:"what,omitempty"`    // peer: opened, closed, refused; sync: see the text
	Reason  string   `json:"reason,omitempty"`
	Remote  bool     `json:"by_remote,omitempty"`
	Detail  string   `json:"detail,omitempty"`
}

// printer writes events as JSON lines.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) print(ev Event) {
	ev.V = 1
	line, err := json.Marshal(ev)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out.Write(append(line, '\n'))
}

// eventOf is the line for a node's event; false where there is none.
func eventOf(ev starling.Event) (Event, bool) {
	switch ev := ev.(type) {
	case starling.HeadChanged:
		return Event{Event: EventHead, Number: ev.Status.Head.Number, Hash: ev.Status.Head.Hash.String(), Imports: len(ev.Blocks)}, true
	case starling.PeerOpened:
		return Event{Event: EventPeer, What: "opened", ID: string(ev.Info.ID)}, true
	case starling.PeerClosed:
		return Event{Event: EventPeer, What: "closed", ID: string(ev.ID), Reason: string(ev.Reason), Remote: ev.ByRemote, Detail: ev.Detail}, true
	case starling.PeerRefused:
		return Event{Event: EventPeer, What: "refused", ID: string(ev.ID), Reason: string(ev.Reason), Remote: ev.ByRemote, Detail: ev.Detail}, true
	case starling.PeerCharged:
		return Event{Event: EventCharge, ID: string(ev.ID), Reason: string(ev.Offense), Detail: ev.Detail}, true
	case starling.PeerBanned:
		return Event{Event: EventBan, ID: ev.Who, Reason: ev.Reason}, true
	case starling.SyncChanged:
		return Event{Event: EventSync, What: ev.What, Detail: ev.Detail}, true
	case starling.Alarm:
		return Event{Event: EventAlarm, Detail: ev.Text}, true
	}
	return Event{}, false
}
