package eventlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// MaxLine bounds one encoded record, in bytes.
const MaxLine = 64 << 10

// ErrUnknownEvent: a record is of a kind that this program does not know, as a
// newer one writes. It is to be skipped.
var ErrUnknownEvent = errors.New("eventlog: an event of an unknown kind")

// Parse reads what Record.MarshalJSON wrote. Texts are cleaned again. What the
// encoding left out is zero: the scheme of an address, hashes of blocks below a
// head. Fields that it does not know are passed over.
func Parse(raw []byte) (Record, error) {
	if len(raw) > MaxLine {
		return Record{}, fmt.Errorf("eventlog: a record of %d bytes, want at most %d", len(raw), MaxLine)
	}
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return Record{}, fmt.Errorf("eventlog: a record is not JSON of its form: %w", err)
	}
	switch {
	case l.V != Version:
		return Record{}, fmt.Errorf("eventlog: a record of version %d, this program reads %d", l.V, Version)
	case l.ID == 0:
		return Record{}, errors.New("eventlog: a record without a number; they count from 1")
	case l.Time.IsZero() || l.Time.Year() < 0 || l.Time.Year() > 9999:
		return Record{}, fmt.Errorf("eventlog: record %d is of no time", l.ID)
	}
	ev, err := l.event()
	if err != nil {
		return Record{}, fmt.Errorf("eventlog: record %d: %w", l.ID, err)
	}
	return Record{ID: l.ID, Time: l.Time.UTC(), Event: ev, Missed: l.Missed}, nil
}

// event makes the event that fill has written.
func (l *line) event() (starling.Event, error) {
	ref, err := l.block()
	if err != nil {
		return nil, err
	}
	d, err := span(l.Seconds)
	if err != nil {
		return nil, err
	}
	if len(l.Listen) > maxList || len(l.Protocols) > maxList || l.Imports < 0 || l.Imports > maxImports {
		return nil, fmt.Errorf("%d listen, %d protocols, %d imports, want at most %d, %[4]d and %d", len(l.Listen), len(l.Protocols), l.Imports, maxList, maxImports)
	}
	who, at, why, detail := peer.ID(peer.Clean(l.Peer)), addr(l.Addr), peer.Reason(peer.Clean(l.Reason)), peer.Clean(l.Detail)
	dir := peer.Inbound
	if l.Direction == peer.Outbound.String() {
		dir = peer.Outbound
	}
	switch l.Event {
	case PeerOpened:
		info := peer.Info{ID: who, Addr: at, Wire: peer.Clean(l.Wire), Direction: dir, Proven: l.Proven, Agent: peer.Clean(l.Agent)}
		for _, a := range l.Listen {
			info.Listen = append(info.Listen, addr(a))
		}
		for _, p := range l.Protocols {
			info.Protocols = append(info.Protocols, peer.Clean(p))
		}
		return starling.PeerOpened{Info: info}, nil
	case PeerClosed:
		return starling.PeerClosed{ID: who, Reason: why, ByRemote: l.ByRemote, Detail: detail}, nil
	case PeerRefused:
		return starling.PeerRefused{ID: who, Addr: at, Direction: dir, Reason: why, ByRemote: l.ByRemote, Detail: detail}, nil
	case PeerNotDialled:
		return starling.PeerNotDialled{ID: who, Addr: at, Reason: why, Detail: detail}, nil
	case PeerCharged:
		return starling.PeerCharged{ID: who, Offense: peer.Offense(peer.Clean(l.Offense)), Severity: peer.Severity(l.Points), Score: finite(l.Score), Detail: detail}, nil
	case PeerBanned:
		return starling.PeerBanned{Who: peer.Clean(l.Who), For: d, Reason: string(why), ByScore: l.ByScore}, nil
	case PeerUnbanned:
		return starling.PeerUnbanned{Who: peer.Clean(l.Who)}, nil
	case HeadChanged:
		ev := starling.HeadChanged{Status: chain.Status{Network: peer.Clean(l.Network), Head: ref, Finalized: chain.Ref{Number: l.Finalized}, Earliest: l.Earliest}}
		if l.Imports > 0 { // their hashes are not told, but for the head's
			ev.Blocks = make([]chain.Ref, l.Imports)
			ev.Blocks[l.Imports-1] = ref
		}
		return ev, nil
	case BlockSeen:
		return starling.BlockSeen{Ref: ref, From: who}, nil
	case Published:
		r := wire.Receipt{MeshPeers: l.MeshPeers, Queued: l.Queued, Dropped: l.Dropped}
		return starling.Published{Kind: peer.Clean(l.Kind), Ref: ref, Receipt: r, Err: publishErrorOf(l.ErrorCode, peer.Clean(l.Error))}, nil
	case SyncChanged:
		return starling.SyncChanged{What: peer.Clean(l.What), Cause: peer.Clean(l.Cause), Detail: detail}, nil
	case TopicChanged:
		return starling.TopicChanged{ID: who, Topic: peer.Clean(l.Topic), Joined: l.On}, nil
	case ClockSuspected:
		return starling.ClockSuspected{On: l.On, Skew: d}, nil
	case ClockJumped:
		return starling.ClockJumped{By: d}, nil
	case Alarm:
		return starling.Alarm{Text: peer.Clean(l.Text)}, nil
	}
	return nil, fmt.Errorf("%w: %.40q", ErrUnknownEvent, l.Event)
}

func (l *line) block() (chain.Ref, error) {
	r := chain.Ref{Number: l.Number}
	if l.Hash == "" {
		return r, nil
	}
	var err error
	r.Hash, err = chain.ParseHash(l.Hash)
	return r, err
}

func addr(text string) peer.Addr { return peer.Addr{Text: peer.Clean(text)} }

// span is a duration of so many seconds.
func span(seconds float64) (time.Duration, error) {
	const most = math.MaxInt64 / float64(time.Second) / 2
	if !(math.Abs(seconds) <= most) {
		return 0, fmt.Errorf("a time of %g seconds, want at most %g either way", seconds, most)
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}
