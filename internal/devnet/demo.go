package devnet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/pause"
)

// Demo is what "starling dev" does with a Net: it starts the sequencer and all
// followers but one, sends transactions, lets the last follower join late,
// kills another and starts it again, and at the end checks what it claims.
type Demo struct {
	Net *Net
	// Txs is the number of transactions a second; 0 sends none. PayloadBytes is
	// how much data each carries.
	Txs, PayloadBytes int
	// For is how long it goes on; 0: until the context ends.
	For time.Duration
	// Say gets what a person should see, from one goroutine at a time.
	Say func(Line)
}

// Line is something that the demo says. Fields are added, never renamed.
type Line struct {
	V     int    `json:"v"`
	Event string `json:"event"` // "node", "ready", "joined", "killed", "restarted", "progress", "trouble", "summary"

	Node    string   `json:"node,omitempty"`
	Role    string   `json:"role,omitempty"`
	Addrs   []string `json:"addrs,omitempty"`
	Datadir string   `json:"datadir,omitempty"`
	RPC     string   `json:"rpc,omitempty"` // where its JSON-RPC is over HTTP
	Head    uint64   `json:"head,omitempty"`
	Sent    int      `json:"txs_sent,omitempty"`
	Took    string   `json:"took,omitempty"`
	Text    string   `json:"text,omitempty"`
}

// Summary is the last line: what was checked.
type Summary struct {
	V                  int      `json:"v"`
	Event              string   `json:"event"`
	Nodes              int      `json:"nodes"`
	Head               uint64   `json:"head"`
	HeadsEqual         bool     `json:"heads_equal"`
	LateJoinerSynced   bool     `json:"late_joiner_synced"`
	RestartedRecovered bool     `json:"restarted_recovered"`
	TxsWanted          int      `json:"-"` // at least; 0 where none are sent
	TxsSent            int      `json:"-"` // taken by nodes; all of them must be included
	TxsIncluded        int      `json:"txs_included"`
	HonestBans         int      `json:"honest_bans"`
	InProcess          bool     `json:"in_process,omitempty"`
	Troubles           []string `json:"troubles,omitempty"`
}

// OK reports whether every claim of the summary holds.
func (s Summary) OK() bool {
	return s.HeadsEqual && s.LateJoinerSynced && s.RestartedRecovered && s.HonestBans == 0 &&
		s.TxsIncluded == s.TxsSent && s.TxsSent >= s.TxsWanted && len(s.Troubles) == 0
}

// How the time of a demo is used, in shares of For; without For, of defaultSpan.
const (
	joinAt      = 0.25
	killAt      = 0.40
	drainAt     = 0.75
	defaultSpan = 40 * time.Second
	downFor     = 2 * time.Second
	settleFor   = 15 * time.Second // how long one step of the end may take
)

// Run runs the demo. Without For it ends with ctx and gives no summary.
func (d *Demo) Run(ctx context.Context) (*Summary, error) {
	defer d.Net.Stop()
	began := time.Now()
	late, victim := d.Net.Node(d.Net.Len()-1), d.Net.Node(min(1, d.Net.Len()-1))
	if err := d.startAll(ctx, late); err != nil {
		return nil, err
	}
	d.Say(Line{Event: "ready", Took: time.Since(began).Round(10 * time.Millisecond).String()})

	span := d.For
	if span == 0 {
		span = defaultSpan
	}
	sum := &Summary{Event: "summary", Nodes: d.Net.Len(), InProcess: d.Net.opts.InProcess}
	load := newLoad(d.Net, d.Txs, d.PayloadBytes)
	loadCtx, endLoad := context.WithCancel(ctx)
	defer endLoad()
	var loading sync.WaitGroup
	loading.Go(func() { load.run(loadCtx) })
	defer loading.Wait()
	defer endLoad()

	begin := time.Now()
	at := func(share float64) error {
		return d.waitUntil(ctx, begin.Add(time.Duration(share*float64(span))), load)
	}
	if err := at(joinAt); err != nil {
		return nil, err
	}
	if err := d.start(ctx, late); err != nil {
		return nil, err
	}
	d.Say(Line{Event: "joined", Node: late.Name(), Head: d.Net.Node(0).Acked()})
	if err := at(killAt); err != nil {
		return nil, err
	}
	acked, err := d.restart(ctx, victim)
	if err != nil {
		return nil, err
	}
	if d.For == 0 {
		return nil, d.waitUntil(ctx, time.Time{}, load)
	}
	if err := at(drainAt); err != nil {
		return nil, err
	}
	endLoad()
	loading.Wait()
	return sum, d.settle(ctx, sum, load, acked)
}

// startAll starts every node but the late one.
func (d *Demo) startAll(ctx context.Context, late *Node) error {
	if err := d.start(ctx, d.Net.Node(0)); err != nil {
		return err
	}
	var (
		wg   sync.WaitGroup
		errs = make([]error, d.Net.Len())
	)
	for i := 1; i < d.Net.Len(); i++ {
		if node := d.Net.Node(i); node != late {
			wg.Go(func() { errs[i] = node.Start(ctx) })
		}
	}
	wg.Wait()
	for i := 1; i < d.Net.Len(); i++ {
		if node := d.Net.Node(i); node != late && errs[i] == nil {
			d.introduce(node)
		}
	}
	return errors.Join(errs...)
}

func (d *Demo) start(ctx context.Context, n *Node) error {
	if err := n.Start(ctx); err != nil {
		return err
	}
	d.introduce(n)
	return nil
}

func (d *Demo) introduce(n *Node) {
	role := "follower"
	if n.index == 0 {
		role = "sequencer"
	}
	d.Say(Line{Event: "node", Node: n.Name(), Role: role, Addrs: n.Addrs(), Datadir: n.Dir(), RPC: n.RPC()})
}

// restart kills a node, leaves it down for a moment and starts it again. It
// gives the last head that the node had acknowledged.
func (d *Demo) restart(ctx context.Context, n *Node) (acked uint64, err error) {
	n.Kill()
	acked = n.Acked()
	d.Say(Line{Event: "killed", Node: n.Name(), Head: acked})
	if err := pause.For(ctx, downFor); err != nil {
		return acked, err
	}
	if err := n.Start(ctx); err != nil {
		return acked, err
	}
	d.Say(Line{Event: "restarted", Node: n.Name(), RPC: n.RPC(), Head: n.current().ready().Number})
	return acked, nil
}

// waitUntil waits until a time, or without one for ctx, and tells progress.
func (d *Demo) waitUntil(ctx context.Context, until time.Time, l *load) error {
	tick := time.NewTicker(d.tellEvery())
	defer tick.Stop()
	var due <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		due = t.C
	}
	for {
		select {
		case <-due:
			return nil
		case <-tick.C:
			d.Say(Line{Event: "progress", Head: d.Net.Node(0).Acked(), Sent: l.sent()})
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellEvery is the pause between two lines of progress.
func (d *Demo) tellEvery() time.Duration {
	if d.For == 0 {
		return 5 * time.Second
	}
	return min(d.For/20, 5*time.Second)
}

// settle lets what was sent be included, pauses the sequencer, waits for all
// nodes to have its head, and fills the summary with what it then sees.
func (d *Demo) settle(ctx context.Context, sum *Summary, l *load, acked uint64) error {
	trouble := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		sum.Troubles = append(sum.Troubles, text)
		d.Say(Line{Event: "trouble", Text: text})
	}
	sum.TxsSent, sum.TxsWanted = l.sent(), min(d.Txs, 1)
	if err := l.err(); err != nil {
		trouble("sending transactions: %v", err)
	}
	sequencer := d.Net.Node(0)
	if err := l.settled(ctx, sequencer); err != nil {
		trouble("%v", err)
	}
	if err := sequencer.Call(ctx, "sequencer_pause", nil); err != nil {
		return fmt.Errorf("devnet: pause the sequencer: %w", err)
	}
	top, equal, err := d.together(ctx, trouble)
	if err != nil {
		return err
	}
	sum.Head, sum.HeadsEqual = top.Number, equal
	late, victim := d.Net.Node(d.Net.Len()-1), d.Net.Node(min(1, d.Net.Len()-1))
	if sum.LateJoinerSynced, err = sameChain(ctx, sequencer, late, sum.Head); err != nil {
		trouble("%v", err)
	}
	back, err := victim.Status(ctx)
	if err != nil {
		return err
	}
	started := victim.current().ready().Number
	sum.RestartedRecovered = started >= acked && back.Head == top
	if started < acked {
		trouble("%s came back at head %d, but had acknowledged %d", victim.Name(), started, acked)
	}
	if sum.TxsIncluded, err = l.included(ctx, late); err != nil {
		trouble("%v", err)
	}
	for i := range d.Net.Len() {
		s, err := d.Net.Node(i).Status(ctx)
		if err != nil {
			return err
		}
		sum.HonestBans += int(s.BansEver)
	}
	sum.HonestBans = max(sum.HonestBans, d.Net.Bans()) // those of the killed run too
	for i := range d.Net.Len() {
		if err := d.Net.Node(i).Call(ctx, "starling_checkInvariants", nil); err != nil {
			trouble("ledger of %s: %v", d.Net.Node(i).Name(), err)
		}
	}
	return nil
}

// together waits for all nodes to have the sequencer's head, gives it, and
// reports whether they have. A block that was under way when the sequencer was
// paused may still raise it.
func (d *Demo) together(ctx context.Context, trouble func(string, ...any)) (top daemon.BlockName, equal bool, err error) {
	s, err := d.Net.Node(0).Status(ctx)
	for err == nil {
		top, equal = s.Head, true
		for i, raised := 0, false; i < d.Net.Len() && !raised; i++ {
			late := await(ctx, d.Net.Node(i), fmt.Sprintf("head %d and an empty pool", top.Number), func(s daemon.StatusReply) bool {
				raised = s.Head.Number > top.Number
				return raised || s.Head == top && s.PoolTxs == 0
			})
			if late != nil {
				equal = false
				trouble("%v", late)
			}
		}
		if s, err = d.Net.Node(0).Status(ctx); err == nil && s.Head == top {
			return top, equal, nil
		}
	}
	return top, false, err
}

// await is Await for as long as a step of the end may take.
func await(ctx context.Context, n *Node, what string, fits func(daemon.StatusReply) bool) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	return n.Await(ctx, what, fits)
}
