package blocksync

import (
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
)

func (c *Core) onTargeted(ref chain.Ref) {
	if _, ok := c.recent.Get(ref.Hash); ok || ref == c.status.Head {
		c.closed(ref)
		return
	}
	c.target, c.fromStage = ref, false
	c.targetRetry, c.targetWait = time.Time{}, 0
}

// closed tells that everything up to a trusted block is imported.
func (c *Core) closed(target chain.Ref) {
	c.reached = true
	c.emit(Tell{GapClosed{Target: target}})
}

// choose starts the next job, if there is something to do: a target that was
// set; then a gap below an offered block; then a better head of a peer. A gap
// that is long is left to forward sync, where the wire has it, since that uses
// all peers from the first block on.
func (c *Core) choose() {
	best := c.bestMaster(nil)
	if c.cfg.BackwardOnly {
		best = nil
	}
	if best == nil {
		c.behindSince = time.Time{}
	} else if c.behindSince.IsZero() {
		c.behindSince = c.now
	}
	if len(c.peers) == 0 && !c.onlyStaged() {
		return
	}
	if c.pausedByTrouble() {
		return
	}
	if c.target != (chain.Ref{}) && !c.now.Before(c.targetRetry) && c.canDescend() {
		c.startBackward(c.target, chain.Hash{})
		return
	}
	if l := c.nextGap(); l != nil && c.canDescend() {
		h := l.block.Header
		if c.bad.Has(h.Parent) {
			c.loose.removeTree(c, h.Ref.Hash)
			return
		}
		far := h.Ref.Number > c.status.Head.Number+backwardGap
		if best == nil || !far && !c.now.Before(c.forwardFirst) {
			c.startBackward(chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}, h.Ref.Hash)
			return
		}
	}
	if best == nil || len(c.tip.blocks) > 0 || c.awaitsCompany() {
		return // what is on its way in need not be fetched
	}
	// A few blocks behind, gossip is likely to bring them: wait a moment.
	if best.claim.Head.Number <= c.status.Head.Number+nearHead {
		since := c.behindSince
		if c.lastImport.After(since) {
			since = c.lastImport
		}
		if c.now.Sub(since) < max(time.Second, c.cfg.BlockInterval) {
			return
		}
	}
	c.startForward(best)
}

// awaitsCompany: a forward sync would begin with more peers.
func (c *Core) awaitsCompany() bool {
	return len(c.peers) < c.cfg.MinPeers && (c.cfg.MinPeersFor == 0 || c.now.Sub(c.behindSince) < c.cfg.MinPeersFor)
}

// onlyStaged: what is on disk may be all that is needed.
func (c *Core) onlyStaged() bool {
	_, ok := c.staged[c.target.Hash]
	return ok
}

// driveJob does everything that the job's state allows.
func (c *Core) driveJob() {
	j := c.job
	if j.forward {
		c.driveForward(j)
	} else {
		c.driveBackward(j)
	}
	if c.job != j {
		return
	}
	if j.probe == nil {
		c.askBodies(j)
		c.stagePath(j)
		c.importPath(j)
	}
	c.finish(j)
}

// finish ends the job when it is done, or when nobody can go on with it.
func (c *Core) finish(j *job) {
	if j.entries.len() == 0 && j.importing == 0 && j.probe == nil {
		if j.forward && len(j.spans) == 0 && j.next > j.goal {
			if p := j.master; p != nil {
				// Everything up to its claim is here, and the chain has chosen.
				if p.claim.Head.Number <= j.tip.Ref.Number {
					p.reached = p.claim.Head
				}
			}
			c.reached = true
			c.endJob()
			c.settle()
			return
		}
		if !j.forward && j.connected {
			c.closed(j.target)
			if c.target.Hash == j.target.Hash {
				c.target = chain.Ref{}
			}
			if l := c.loose.get(j.gap); l != nil {
				c.place(l)
			}
			c.endJob()
			return
		}
	}
	if c.pausedByTrouble() || !c.idle(j) {
		if c.pausedByTrouble() {
			j.progress = c.now // the time that our own trouble takes does not count
		}
		return
	}
	// Nothing is under way. Without anybody who gives headers and with nothing
	// left to fetch, a forward job has come as far as it could.
	if j.forward && j.master == nil && j.entries.len() == 0 && c.bestMaster(j) == nil {
		c.endJob()
		c.settle()
		c.gaveUp = c.now
		return
	}
	idle := c.now.Sub(j.progress)
	if idle >= giveUpAfter || idle >= hopelessAfter && c.hopeless(j) {
		c.abort(j, c.why(j).text)
	}
}

// settle lets a peer whose head could not be reached wait its turn.
func (c *Core) settle() {
	c.behindSince = time.Time{}
}

// abort ends a job that came to nothing. It is tried again after a while.
func (c *Core) abort(j *job, _ string) {
	if !j.forward {
		if l := c.loose.get(j.gap); l != nil {
			l.retryAt = c.now.Add(retryGapAfter)
		}
		if c.target.Hash == j.target.Hash {
			c.targetWait = min(max(retryGapAfter, 2*c.targetWait), maxRetryTarget)
			c.targetRetry = c.now.Add(c.targetWait)
		}
	} else {
		// Whoever led us here does not lead at once again.
		if j.master != nil && j.entries.len() == 0 {
			j.master.badUntil = c.now.Add(missFor)
			c.gaveUp = c.now
		}
		for i := range j.entries.len() {
			if p := c.byID[j.entries.at(i).header]; p != nil {
				p.badUntil = c.now.Add(missFor)
				c.gaveUp = c.now
			}
		}
	}
	c.endJob()
	c.settle()
}

// why says why a job does not go on.
func (c *Core) why(j *job) stall {
	if len(c.peers) == 0 {
		return stall{CauseNoPeers, "no peers"}
	}
	if j.looking || (j.probe != nil && j.probe.busy && len(c.asked) == 0) {
		return stall{CauseDisk, "waiting for the disk"}
	}
	if j.importing != 0 || j.staging != 0 {
		return stall{CauseImport, "waiting for the chain to import"}
	}
	if len(j.checks) > 0 || j.verifying != nil {
		return stall{CauseVerify, "waiting for verification"}
	}
	var paused, silent, excluded, lacking, waiting int
	n := j.want.Number
	if j.connected {
		n = j.low
	}
	for _, p := range c.peers {
		switch {
		case j.excluded[p]:
			excluded++
		case p.refusals > 0 || c.now.Before(p.pausedUntil):
			paused++
		case !c.gives(j, p, n):
			lacking++
		case len(p.asked) > 0 && p.silent > 0:
			silent++
		case len(p.asked) > 0:
			waiting++
		}
	}
	all := len(c.peers)
	switch {
	case waiting > 0:
		return stall{CauseAnswers, fmt.Sprintf("waiting for the answers of %d of %d peers", waiting, all)}
	case silent > 0:
		return stall{CauseSilent, fmt.Sprintf("%d of %d peers do not answer", silent, all)}
	case paused > 0:
		return stall{CauseRefusing, fmt.Sprintf("%d of %d peers refuse for now", paused, all)}
	case lacking > 0:
		return stall{CauseLacking, fmt.Sprintf("%d of %d peers lack block %d", lacking, all, n)}
	case excluded > 0:
		return stall{CauseOtherBranch, fmt.Sprintf("%d of %d peers gave wrong answers or are on another branch", excluded, all)}
	}
	return stall{CauseWaiting, "waiting"}
}

// reason says why there is something to fetch and no progress; zero if there is none.
func (c *Core) reason() stall {
	if !c.started {
		return stall{}
	}
	if c.trouble.stall != (stall{}) && (c.trouble.write || c.job != nil || c.pausedByTrouble()) {
		return c.trouble.stall // until what failed has worked
	}
	if j := c.job; j != nil {
		if c.now.Sub(j.progress) < stuckAfter {
			return stall{}
		}
		return c.why(j)
	}
	if len(c.peers) > 0 && c.awaitsCompany() && c.bestMaster(nil) != nil {
		bound := "sync_peers"
		if c.cfg.MinPeersFor > 0 {
			bound = fmt.Sprintf("%v at most", c.cfg.MinPeersFor)
		}
		return stall{CauseFewPeers, fmt.Sprintf("waiting for peers: %d of %d (%s)", len(c.peers), c.cfg.MinPeers, bound)}
	}
	behind := c.target != (chain.Ref{}) || c.loose.len() > len(c.tip.blocks)
	if !behind {
		return stall{}
	}
	if len(c.peers) == 0 {
		return stall{CauseNoPeers, "no peers"}
	}
	if !c.canDescend() && c.bestMaster(nil) == nil {
		return stall{CauseNobodyToAsk, "no peer can be asked for what is missing"}
	}
	if c.now.Sub(c.lastImport) < stuckAfter {
		return stall{}
	}
	if c.unjudgedText != "" {
		return stall{CauseMissingParent, "the parent of a block cannot be judged yet: " + c.unjudgedText}
	}
	return stall{CauseMissingParent, "waiting for the parent of a block: no peer has given it"}
}

// unsure reports whether it cannot be said yet that nobody has more than we
// have.
func (c *Core) unsure() bool {
	return c.cfg.BackwardOnly && !c.reached || c.now.Before(c.unsureUntil())
}

// unsureUntil is when it ends that we wait for claims which are not whole yet, as
// where a wire must ask for the number of a head, and for those who may lead
// after a sync that came to nothing. It is over once something was reached, and
// for all of them a while after the first peer came, or the last import: those
// who never say or give what they have must not keep us out of sync, however many
// come and go.
func (c *Core) unsureUntil() (at time.Time) {
	if c.reached {
		return at
	}
	if !c.gaveUp.IsZero() {
		at = c.gaveUp.Add(missFor)
	}
	for _, p := range c.peers {
		if end := p.joined.Add(claimFor); end.After(at) && p.claimless() && p.claim.Weight.Compare(c.status.Weight) > 0 {
			at = end
		}
	}
	since := c.firstJoin
	if c.lastImport.After(since) {
		since = c.lastImport
	}
	if last := since.Add(unsureFor); at.After(last) {
		at = last
	}
	return at
}

// tell sends the events that the state calls for.
func (c *Core) tell() {
	if why := c.reason(); why != c.stuck {
		c.stuck = why
		c.emit(Tell{Stuck{Cause: why.cause, Reason: why.text}})
	}
	behind := c.job != nil || !c.behindSince.IsZero() || c.target != (chain.Ref{}) || c.loose.len() > 0
	if synced := !behind && len(c.peers) > 0 && !c.unsure(); synced != c.synced {
		c.synced = synced
		if synced {
			c.emit(Tell{Synced{Head: c.status.Head}})
		}
	}
	if c.job != nil && c.job.forward && c.now.Sub(c.lastTold) >= tellEvery {
		c.tellSyncing()
	}
}

func (c *Core) tellSyncing() {
	c.lastTold = c.now
	e := Syncing{Head: c.status.Head, Goal: c.job.goal, Rate: c.rate, First: !c.reached, Far: c.job.far(c.status.Head)}
	if p := c.job.master; p != nil {
		e.Master = p.id
	}
	c.emit(Tell{e})
}

// Snapshot is the state as it is now. The caller owns it.
func (c *Core) Snapshot() Snapshot {
	s := Snapshot{
		Head: c.status.Head, Finalized: c.status.Finalized, Peers: len(c.peers), InFlight: len(c.asked),
		BytesHeld: c.held, BytesAsked: c.reserved, Quarantined: c.loose.len(), QueuedGaps: c.gaps(), Staged: len(c.staged), StagedBytes: c.stagedBytes,
		Imported: c.imported, Rate: c.rate, StuckReason: c.stuck.text, StuckCause: c.stuck.cause, Drops: c.drops, Taken: c.now,
		Outdone: !c.behindSince.IsZero() || c.now.Before(c.unsureUntil()),
	}
	for _, p := range c.peers {
		s.Highest = max(s.Highest, p.claim.Head.Number)
	}
	switch j := c.job; {
	case !c.started:
		s.Mode = ModeStarting
	case c.stuck != (stall{}):
		s.Mode = ModeStuck
	case j != nil && j.forward:
		s.Mode = ModeForward
	case j != nil:
		s.Mode = ModeBackward
	case len(c.peers) == 0:
		s.Mode = ModeIdle
	case c.synced:
		s.Mode = ModeSynced
	default:
		s.Mode = ModeBehind
	}
	if j := c.job; j != nil {
		s.Target = j.target
		if !j.forward {
			s.Fetched = j.entries.len() - j.pending
		} else {
			s.Target = chain.Ref{Number: j.goal}
			if j.master != nil {
				s.Master = j.master.id
			}
		}
	} else {
		s.Target = c.target
	}
	return s
}
