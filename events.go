package starling

import (
	"fmt"

	"github.com/starlingp2p/starling/internal/blocksync"
	"github.com/starlingp2p/starling/internal/swarm"
	"github.com/starlingp2p/starling/peer"
)

// onSwarm turns what the peer table tells into events; the table writes its own
// log. It runs on the table's goroutine and never blocks.
func (n *Node) onSwarm(ev swarm.Event) {
	switch ev := ev.(type) {
	case swarm.Opened:
		n.host.opened(ev.Session, ev.Info.ID)
		n.bus.publish(PeerOpened{Info: ev.Info})
	case swarm.Closed:
		n.host.closed(ev.Session, ev.ID)
		n.counts.closes.Add(Close{ev.Reason, ev.ByRemote}, 1)
		n.bus.publish(PeerClosed{ID: ev.ID, Reason: ev.Reason, ByRemote: ev.ByRemote, Detail: ev.Detail})
	case swarm.DialFailed:
		n.bus.publish(PeerRefused{ID: ev.ID, Addr: ev.Addr, Direction: peer.Outbound, Reason: ev.Reason, ByRemote: ev.ByRemote, Detail: ev.Detail})
	case swarm.NotDialled:
		n.bus.publish(PeerNotDialled(ev))
	case swarm.Refused:
		n.bus.publish(PeerRefused{ID: ev.ID, Addr: ev.Addr, Direction: ev.Direction, Reason: ev.Reason, ByRemote: ev.ByRemote, Detail: ev.Detail})
	case swarm.Offended:
		n.counts.charges.Add(ev.Offense, 1)
		n.bus.publish(PeerCharged{ID: ev.ID, Offense: ev.Offense, Severity: ev.Severity, Score: ev.Score, Detail: ev.Detail})
	case swarm.Banned:
		why := string(peer.Requested) // whatever the operator wrote
		if ev.Auto {
			why = ev.Reason
			n.counts.bansByScore.Add(1)
		}
		n.counts.bans.Add(why, 1)
		n.bus.publish(PeerBanned{Who: ev.Target.String(), For: ev.For, Reason: ev.Reason, ByScore: ev.Auto})
	case swarm.Unbanned:
		n.bus.publish(PeerUnbanned{Who: ev.Target.String()})
	case swarm.TopicChanged:
		n.bus.publish(TopicChanged(ev))
	case swarm.ClockSuspect:
		n.bus.publish(ClockSuspected{On: ev.On, Skew: ev.Skew})
	case swarm.ClockJumped:
		n.bus.publish(ClockJumped(ev))
	case swarm.Alarm:
		n.bus.publish(Alarm{Text: ev.Kind + ": " + ev.Detail})
	}
}

// onSync turns what the sync tells into events; the sync writes its own log. It
// never blocks.
func (n *Node) onSync(ev blocksync.Event) {
	switch ev := ev.(type) {
	case blocksync.GapFound:
		n.bus.publish(SyncChanged{What: "gap-found", Detail: fmt.Sprintf("below %v, head %v", ev.Target, ev.Head)})
	case blocksync.GapClosed:
		n.bus.publish(SyncChanged{What: "gap-closed", Detail: ev.Target.String()})
	case blocksync.Syncing:
		if n.relay != nil && (ev.First || ev.Far) {
			n.relay.Shut() // peers who came first knew, or told, of no more than we had
		}
		n.bus.publish(SyncChanged{What: "syncing", Detail: fmt.Sprintf("head %v, goal %d", ev.Head, ev.Goal)})
	case blocksync.Synced:
		if n.relay != nil {
			n.relay.Synced(ev.Head)
		}
		n.bus.publish(SyncChanged{What: "synced", Detail: ev.Head.String()})
	case blocksync.Stuck:
		n.bus.publish(SyncChanged{What: "stuck", Detail: ev.Reason, Cause: string(ev.Cause)})
	case blocksync.Reorg:
		n.bus.publish(SyncChanged{What: "reorg", Detail: fmt.Sprintf("from %v to %v, %d undone", ev.Old, ev.New, ev.Depth)})
	case blocksync.ReorgRefused:
		n.bus.publish(SyncChanged{What: "reorg-refused", Detail: fmt.Sprintf("a branch from %v would undo more blocks than the chain allows", ev.Fork)})
		n.alarm("a branch was refused", fmt.Sprintf("a branch from %v was refused: it would undo more blocks than the chain allows", ev.Fork))
	case blocksync.TargetRefused:
		n.bus.publish(SyncChanged{What: "target-refused", Detail: fmt.Sprintf("target %v: %s", ev.Target, ev.Reason)})
		n.alarm("a target cannot be reached", fmt.Sprintf("target %v cannot be reached: %s", ev.Target, ev.Reason))
	}
}

// alarm tells the operator. kind is a fixed text.
func (n *Node) alarm(kind, text string) {
	n.warn(kind, "detail", text)
	n.bus.publish(Alarm{Text: text})
}
