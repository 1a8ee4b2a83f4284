package devp2p

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/discv"
)

// Discovery says how to look for peers.
type Discovery struct {
	Listen      netip.AddrPort // UDP of discv4 and discv5; zero: both are off
	NoV4, NoV5  bool
	BootnodesV4 []string   // enode:// or enr:
	BootnodesV5 []string   // enr: or enode://
	Lists       []string   // in DNS: enrtree://KEY@example.org
	Advertise   netip.Addr // that our record says; zero: what others see of us
	DB          string     // folder of what is known of nodes; empty: in memory
	// CountLoopback has each loopback and private range of addresses count where
	// others say how they see us; else all of them are one.
	CountLoopback bool
	NetRestrict   string // CIDR masks with commas between: neither version talks to others; empty: to all
}

// CheckNodes reports all texts that name no node that discovery could ask.
func CheckNodes(texts []string) error {
	_, err := discv.ParseNodes(texts)
	return err
}

// forkEntry is the "eth" entry of a node record: its fork identifier, in a list
// that may grow (go-ethereum eth/protocols/eth, discovery.go).
type forkEntry struct {
	ID struct {
		Sum  [4]byte
		Next uint64
	}
	Rest []rlp.RawValue `rlp:"tail"`
}

// ENRKey implements enr.Entry.
func (forkEntry) ENRKey() string { return eth.Name }

// finder is what looks for peers.
type finder struct {
	pair  *discv.Pair  // nil: off
	lists *discv.Lists // nil: none

	mu     sync.Mutex // of what is below
	last   eth.ForkID // that our record says
	warned time.Time  // that others see us elsewhere
}

// startFinder starts what Config.Discovery asks for.
func (n *node) startFinder() (*finder, error) {
	cfg := n.w.cfg
	f := &finder{last: n.forkID()}
	if cfg.Discovery.Listen.IsValid() && !(cfg.Discovery.NoV4 && cfg.Discovery.NoV5) {
		pair, err := discv.ListenPair(discv.PairConfig{
			Config: discv.Config{
				Key: n.key, Listen: cfg.Discovery.Listen, Advertise: cfg.Discovery.Advertise, TCP: uint16(n.port()),
				Entries: []enr.Entry{entryOf(f.last)}, Bootnodes: cfg.Discovery.BootnodesV5, DB: cfg.Discovery.DB,
				NetRestrict: cfg.Discovery.NetRestrict, Filter: n.wanted, Logger: cfg.Logger,
			},
			BootnodesV4: cfg.Discovery.BootnodesV4, NoV4: cfg.Discovery.NoV4, NoV5: cfg.Discovery.NoV5, CountLoopback: cfg.Discovery.CountLoopback,
		})
		if err != nil {
			return nil, fmt.Errorf("devp2p: %w", err)
		}
		f.pair = pair
	}
	if len(cfg.Discovery.Lists) > 0 {
		lists, err := discv.NewLists(cfg.Discovery.Lists, nil, n.wanted)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("devp2p: %w", err)
		}
		f.lists = lists
	}
	return f, nil
}

func (f *finder) close() {
	if f.pair != nil {
		f.pair.Close()
	}
	if f.lists != nil {
		f.lists.Close()
	}
}

func (n *node) forkID() eth.ForkID {
	return n.w.cfg.Forks.ID(n.w.cfg.Status().Head.Number, n.w.cfg.HeadTime())
}

func entryOf(id eth.ForkID) enr.Entry {
	var e forkEntry
	e.ID.Sum, e.ID.Next = id.Sum, id.Next
	return e
}

// wanted reports whether a record is of a peer on our chain.
func (n *node) wanted(r *enode.Node) bool {
	var e forkEntry
	if r.TCP() == 0 || !r.IPAddr().IsValid() || r.Load(&e) != nil {
		return false
	}
	return n.w.cfg.Forks.Check(eth.ForkID{Sum: e.ID.Sum, Next: e.ID.Next}, n.w.cfg.Status().Head.Number, n.w.cfg.HeadTime()) == nil
}

// Discover implements wire.Discoverer: one round of discv4, discv5 and the
// lists in DNS, as far as they are on.
func (w *Wire) Discover(ctx context.Context) error {
	n := w.node.Load()
	if n == nil {
		return wire.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	n.renewRecord()
	var wg sync.WaitGroup
	if f := n.finder; f.pair != nil {
		wg.Go(func() { n.found(wire.SourceDiscv, f.pair.Discover(ctx)) })
	}
	if f := n.finder; f.lists != nil {
		wg.Go(func() { n.found(wire.SourceDNS, f.lists.Discover(ctx)) })
	}
	wg.Wait()
	n.checkTold()
	return nil
}

// renewRecord keeps the fork identifier in our record true.
func (n *node) renewRecord() {
	f := n.finder
	if f.pair == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if id := n.forkID(); id != f.last {
		f.last = id
		f.pair.Set(entryOf(id))
	}
}

// found reports peers.
func (n *node) found(from wire.Source, records []*enode.Node) {
	r := wire.Found{Source: from}
	for _, rec := range records {
		key := rec.Pubkey()
		if key == nil || IDOf(key) == n.self {
			continue
		}
		id := IDOf(key)
		n.w.records.note(id, rec)
		r.Peers = append(r.Peers, wire.FoundPeer{ID: id, Addrs: []peer.Addr{addrOf(id, rec.IPAddr().Unmap().String(), rec.TCP(), rec.UDP())}})
	}
	if len(r.Peers) > 0 {
		n.host.Report(r)
	}
}

// Record is our node record, enr:…; empty unless discovery is running.
func (w *Wire) Record() string {
	if n := w.node.Load(); n != nil && n.finder.pair != nil {
		return n.finder.pair.Self().String()
	}
	return ""
}
