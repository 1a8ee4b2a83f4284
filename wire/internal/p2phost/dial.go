package p2phost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Connect makes one attempt to connect to an address, or takes a connection to
// that peer that is there. It goes to the addresses that the name in it
// resolves to, at most 16, and to no other that the library remembers. The
// error is a *peer.RefusedError. done must be called when the connection has
// become a session or was given up.
func (h *Host) Connect(ctx context.Context, a peer.Addr) (c network.Conn, done func(), err error) {
	none := func() {}
	info, err := parseInfo(a.Text)
	if err != nil || a.Scheme != Scheme {
		return nil, none, refuse(peer.BadAddr, "%v", errors.Join(err, wrongScheme(a.Scheme)))
	}
	if info.ID == h.ID() {
		return nil, none, refuse(peer.Self, "%s is our own identity", info.ID)
	}
	for _, c := range h.host.Network().ConnsToPeer(info.ID) {
		if !c.IsClosed() && !c.Stat().Limited {
			return c, h.aux.take(c), nil
		}
	}
	places, err := h.resolve(ctx, info)
	if err != nil {
		return nil, none, refuse(peer.NameUnresolved, "%v", err)
	}
	asked := h.gate.ask(info.ID, places)
	store := h.host.Peerstore()
	store.AddAddrs(info.ID, places, peerstore.TempAddrTTL)
	if s, ok := h.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID)
	}
	dialCtx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "dialled by the node"), HandshakeTimeout)
	defer cancel()
	c, err = h.host.Network().DialPeer(dialCtx, info.ID)
	if err != nil {
		why := asked()
		h.lose(info.ID)
		return nil, none, h.refusal(info.ID, why, err)
	}
	giveBack := h.aux.take(c)
	return c, func() { giveBack(); asked() }, nil
}

func wrongScheme(s string) error {
	if s == Scheme {
		return nil
	}
	return fmt.Errorf("p2phost: address scheme %q, want %q", s, Scheme)
}

func refuse(r peer.Reason, format string, args ...any) error {
	return &peer.RefusedError{Reason: r, Detail: peer.Clean(fmt.Sprintf(format, args...))}
}

// refusal finds out why a dial failed.
func (h *Host) refusal(id libpeer.ID, judged peer.Reason, err error) error {
	if judged != peer.OK {
		return refuse(judged, "to %s", id)
	}
	var mismatch sec.ErrPeerIDMismatch
	var remote *network.ConnError
	switch {
	case errors.As(err, &mismatch) && mismatch.Actual == h.ID():
		return refuse(peer.Self, "%s leads to ourselves", id)
	case errors.As(err, &mismatch):
		return refuse(peer.WrongIdentity, "wanted %s, %s answered", id, mismatch.Actual)
	case errors.As(err, &remote) && remote.Remote && remote.ErrorCode == network.ConnGated:
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "its gater refused the connection"}
	case errors.As(err, &remote) && remote.Remote:
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: fmt.Sprintf("connection closed with code %#x", uint32(remote.ErrorCode))}
	case errors.Is(err, context.Canceled):
		return refuse(peer.DialFailed, "given up")
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return refuse(peer.DialTimeout, "no connection to %s within %v", id, HandshakeTimeout)
	case errors.Is(err, swarm.ErrNoGoodAddresses), errors.Is(err, swarm.ErrNoAddresses), errors.Is(err, swarm.ErrNoTransport):
		return refuse(peer.BadAddr, "%s: no address that we can dial", id)
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if strings.Contains(text, "peer id mismatch") { // a transport that lost the type
		return refuse(peer.WrongIdentity, "wanted %s: %s", id, text)
	}
	if strings.Contains(text, "i/o timeout") {
		return refuse(peer.DialTimeout, "no connection to %s: %s", id, text)
	}
	if strings.Contains(text, "negotiate") {
		return refuse(peer.HandshakeFailed, "%s", text)
	}
	return refuse(peer.DialFailed, "%s", text)
}

// Mistaken gives the identity of who answered in the place of the one that was
// wanted, out of an error of Connect.
func Mistaken(err error) (id string, ok bool) {
	var refused *peer.RefusedError
	if !errors.As(err, &refused) || refused.Reason != peer.WrongIdentity {
		return "", false
	}
	_, rest, _ := strings.Cut(refused.Detail, ", ")
	id, ok = strings.CutSuffix(rest, " answered")
	return id, ok
}

// lose takes a peer that could not be reached out of Kademlia's table.
// Lose tells that a peer no longer answers.
func (h *Host) Lose(id libpeer.ID) { h.lose(id) }

func (h *Host) lose(id libpeer.ID) {
	h.mu.Lock()
	kad := h.kad
	h.mu.Unlock()
	if kad != nil && kad.remove(id) {
		h.cfg.Judge.Report(wire.Lost{ID: peer.ID(id.String())})
	}
}

// maxResolved bounds what one name may resolve to.
const maxResolved = 16

// Resolve asks DNS for the addresses behind one that holds a name; an address
// without one is given back as it is. It blocks until ctx ends. A nil Host is
// closed.
func (h *Host) Resolve(ctx context.Context, a peer.Addr) ([]peer.Addr, error) {
	if h == nil {
		return nil, wire.ErrClosed
	}
	info, err := parseInfo(a.Text)
	if err != nil {
		return nil, err
	}
	places, err := h.resolve(ctx, info)
	if err != nil {
		return nil, err
	}
	out := make([]peer.Addr, 0, len(places))
	for _, m := range places {
		out = append(out, addrOf(info.ID, m))
	}
	return out, nil
}

func (h *Host) resolve(ctx context.Context, info *libpeer.AddrInfo) ([]ma.Multiaddr, error) {
	r := resolver{h.cfg.Resolver}
	place := info.Addrs[0]
	found := []ma.Multiaddr{place}
	var err error
	switch place[0].Protocol().Code {
	case ma.P_DNSADDR:
		if found, err = r.ResolveDNSAddr(ctx, info.ID, place, 4, maxResolved); err == nil {
			found, err = r.resolveAll(ctx, found)
		}
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6:
		found, err = r.ResolveDNSComponent(ctx, place, maxResolved)
	default:
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("p2phost: resolve %s: %w", place, err)
	}
	out := found[:0]
	for _, m := range found {
		if p, id := libpeer.SplitAddr(m); id != "" {
			if id != info.ID {
				continue
			}
			m = p
		}
		if checkPlace(m) == nil && len(out) < maxResolved {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("p2phost: resolve %s: no address for %s", place, info.ID)
	}
	return out, nil
}
