package p2phost

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/routing"
	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

const (
	maxKadStreams = 16  // of one peer; one more is reset
	maxKadFound   = 128 // peers that one round reports
)

// Kad is Kademlia for finding peers: it stores no values and no providers.
type Kad struct {
	h   *Host
	dht *dht.IpfsDHT
}

// StartKademlia joins the Kademlia network of a prefix ("/starling/0123…"). A
// host that can be reached serves it, others only ask. It never dials on its
// own clock: Discover does a round.
func (h *Host) StartKademlia(prefix string) (*Kad, error) {
	mode := dht.ModeClient
	if h.Reachable() {
		mode = dht.ModeServer
	}
	d, err := dht.New(
		newCappedHost(h.host, h.cfg.Flood),
		dht.ProtocolPrefix(protocol.ID(prefix)),
		dht.Mode(mode),
		dht.DisableProviders(), dht.DisableValues(), dht.DisableAutoRefresh(),
		dht.AddressFilter(h.filterAddrs),
		dht.QueryFilter(func(_ any, info libpeer.AddrInfo) bool { return len(h.filterAddrs(info.Addrs)) > 0 }),
		dht.RoutingTableFilter(func(_ any, id libpeer.ID) bool { return acceptedKey(id) }),
	)
	if err != nil {
		return nil, fmt.Errorf("p2phost: kademlia: %w", err)
	}
	k := &Kad{h: h, dht: d}
	h.mu.Lock()
	h.kad = k
	h.mu.Unlock()
	return k, nil
}

func (h *Host) filterAddrs(in []ma.Multiaddr) []ma.Multiaddr {
	out := make([]ma.Multiaddr, 0, min(len(in), maxPeerAddrs))
	for _, m := range in {
		if len(out) < maxPeerAddrs && m != nil && h.keep(m) {
			out = append(out, m)
		}
	}
	return out
}

// remove takes a peer out of the table and reports whether it was there.
func (k *Kad) remove(id libpeer.ID) bool {
	t := k.dht.RoutingTable()
	if t.Find(id) == "" {
		return false
	}
	t.RemovePeer(id)
	return true
}

// Size is how many peers the table holds.
func (k *Kad) Size() int { return k.dht.RoutingTable().Size() }

// Discover asks for the peers nearest to ourselves and nearest to a random
// key, and reports what turns up. It blocks until both questions are answered
// or ctx ends. With nobody to ask it finds nothing, which is no error.
func (k *Kad) Discover(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	qctx, events := routing.RegisterForQueryEvents(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { k.report(events) })
	var random [32]byte
	rand.Read(random[:])
	var errs []error
	for _, key := range []string{string(k.h.ID()), string(random[:])} {
		_, err := k.dht.GetClosestPeers(qctx, key)
		if err != nil && !errors.Is(err, kb.ErrLookupFailure) {
			errs = append(errs, err)
		}
	}
	err := context.Cause(ctx)
	cancel() // closes events
	wg.Wait()
	if err != nil {
		return err
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("p2phost: kademlia: %w", err)
	}
	return nil
}

// report passes on whom the peers that were asked told us about.
func (k *Kad) report(events <-chan *routing.QueryEvent) {
	seen := map[libpeer.ID]bool{k.h.ID(): true}
	for e := range events {
		if e.Type != routing.PeerResponse {
			continue
		}
		found := wire.Found{Source: wire.SourceKademlia, From: peer.ID(e.ID.String())}
		for _, info := range e.Responses {
			if info == nil || seen[info.ID] || len(seen) > maxKadFound || !acceptedKey(info.ID) {
				continue
			}
			if f, ok := foundPeer(*info, k.h.keep); ok {
				seen[info.ID] = true
				found.Peers = append(found.Peers, f)
			}
		}
		if len(found.Peers) > 0 {
			k.h.cfg.Judge.Report(found)
		}
	}
}

// cappedHost bounds the streams that one peer may hold open to Kademlia: each
// costs a goroutine.
type cappedHost struct {
	host.Host
	flood func(network.Conn, peer.Offense, string)

	mu    sync.Mutex
	open  map[libpeer.ID]int
	paces *simplelru.LRU[libpeer.ID, *rate.Limiter]
}

func newCappedHost(h host.Host, flood func(network.Conn, peer.Offense, string)) *cappedHost {
	c := &cappedHost{Host: h, flood: flood, open: map[libpeer.ID]int{}}
	c.paces, _ = simplelru.NewLRU[libpeer.ID, *rate.Limiter](maxKad, nil) // it errs for sizes below 1 only
	return c
}

// SetStreamHandler implements host.Host.
func (c *cappedHost) SetStreamHandler(pid protocol.ID, handle network.StreamHandler) {
	c.Host.SetStreamHandler(pid, func(s network.Stream) {
		id := s.Conn().RemotePeer()
		c.mu.Lock()
		over := c.open[id] >= maxKadStreams
		if !over {
			c.open[id]++
		}
		c.mu.Unlock()
		if over {
			s.ResetWithError(network.StreamResourceLimitExceeded)
			c.flood(s.Conn(), peer.StreamFlood, fmt.Sprintf("more than %d streams of %s", maxKadStreams, pid))
			return
		}
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.open[id]--; c.open[id] == 0 {
				delete(c.open, id)
			}
		}()
		handle(&cappedStream{Stream: s, most: maxKadQuestion, pace: c.paceOf(id)})
	})
}
