package ontology

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// wrap makes frames of a connection.
func (n *node) wrap(c net.Conn) (*framed.Conn, *frames) {
	f := &frames{magic: n.cfg.Magic, traffic: n.traffic, shaking: true}
	return framed.NewConn(c, f, n.budget), f
}

// version is what we say of ourselves.
func (n *node) version(id *identity, consensus bool) codec.Version {
	v := codec.Version{
		Services: codec.ServiceNode, Time: n.cfg.Wall.Now().UnixNano(),
		SyncPort: n.listen.Port(), ConsensusPort: n.second.Port(),
		Nonce: id.nonce, Height: n.height(), Relay: true, Consensus: consensus, Soft: id.soft,
	}
	if n.cfg.Validator {
		v.Services = codec.ServiceVerify
	}
	return v
}

func (n *node) height() uint64 { return n.cfg.Status().Head.Number }

// greet shakes hands over a connection, which it closes on failure. The
// listener's verack is not sent yet.
func (n *node) greet(ctx context.Context, c *framed.Conn, dialled, consensus bool) (*shake, error) {
	ctx, cancel := context.WithTimeout(ctx, shakeTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	id := n.identity.Load()
	s, out := newShake(n.version(id, consensus), id.key, dialled, n.isUs)
	err := n.converse(ctx, c, s, out)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = fmt.Errorf("%w: no handshake within %v", framed.ErrIdle, shakeTime)
		}
		c.Close()
		return nil, err
	}
	return s, nil
}

func (n *node) converse(ctx context.Context, c *framed.Conn, s *shake, out []frame) error {
	first, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	var failed error
	for {
		for _, f := range out {
			if err := c.Write(ctx, uint64(f.cmd), f.payload); err != nil {
				return errors.Join(failed, err)
			}
		}
		if failed != nil || s.done {
			return failed
		}
		within := ctx
		if s.next == codec.CmdVersion {
			within = first
		}
		f, err := c.Read(within, shakeTime)
		if err != nil {
			return err
		}
		out, failed = s.take(codec.Command(f.Code), f.Payload)
		f.Release()
	}
}

// failure is why a handshake or a dial failed.
func failure(err error) *peer.RefusedError {
	var own *peer.RefusedError
	var fault *wire.Fault
	detail := peer.Clean(err.Error())
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &fault):
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: detail}
	case errors.Is(err, codec.ErrMagic):
		return &peer.RefusedError{Reason: peer.WrongNetwork, Detail: detail}
	case errors.Is(err, framed.ErrIdle), errors.Is(err, framed.ErrSlow), intake.IsTimeout(err):
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: detail}
	case errors.Is(err, io.EOF):
		return &peer.RefusedError{Reason: peer.ByRemote, Remote: true, Detail: "the link was closed in the handshake"}
	}
	return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: detail}
}

// inbound makes a session of an inbound connection, and runs it.
func (n *node) inbound(c net.Conn, link wire.Link, free func()) error {
	conn, f := n.wrap(c)
	s, err := n.greet(n.ctx, conn, false, false)
	if err != nil {
		return err
	}
	if s.theirs.Consensus {
		conn.Close()
		return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "a consensus link on the port for peers"}
	}
	x := n.newSession(conn, f, s, link)
	ctx, cancel := context.WithTimeout(n.ctx, shakeTime)
	defer cancel()
	if err := n.take(ctx, x); err != nil {
		conn.Close()
		return err
	}
	ack := codec.VerAck{}.Append(nil)
	if err := conn.Write(ctx, uint64(codec.CmdVerAck), ack); err != nil {
		x.link.CloseByRemote(peer.LinkLost, err.Error())
	}
	free()
	x.run()
	return nil
}

// dial makes one attempt.
func (n *node) dial(ctx context.Context, a peer.Addr) error {
	at, located := locate(a)
	link := wire.Link{Direction: peer.Outbound, Addr: a, Asked: true}
	if located {
		link.Endpoint = at
	}
	if a.Scheme != Name {
		return &peer.RefusedError{Reason: peer.BadAddr, Detail: "no address of this wire"}
	}
	if located {
		if err := n.bars(at.Addr()); err != nil {
			return err
		}
	}
	if why := n.host.Admit(link); why != peer.OK {
		return peer.Refuse(why)
	}
	if !n.beginDial(a) {
		return peer.Refuse(peer.AlreadyDialling)
	}
	defer n.endDial(a)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(n.ctx, func() { cancel(&peer.RefusedError{Reason: peer.Stopping}) })
	defer stop()
	c, err := n.connect(ctx, a.Text)
	if err != nil {
		return err
	}
	if err := n.bars(endpoint(c.RemoteAddr()).Addr()); err != nil {
		c.Close() // a name that stands for a stranger
		return err
	}
	conn, f := n.wrap(c)
	s, err := n.greet(ctx, conn, true, false)
	if err != nil {
		why := failure(err)
		if own := (*peer.RefusedError)(nil); errors.As(context.Cause(ctx), &own) {
			why = own
		}
		return why
	}
	if !link.Endpoint.IsValid() {
		link.Endpoint = endpoint(c.RemoteAddr())
	}
	x := n.newSession(conn, f, s, link)
	opening, done := context.WithTimeout(ctx, shakeTime)
	defer done()
	if err := n.take(opening, x); err != nil {
		conn.Close()
		return failure(err)
	}
	if !n.goes(x.run) {
		x.Close(peer.Stopping)
		x.run()
		return peer.Refuse(peer.Stopping)
	}
	return nil
}

func (n *node) connect(ctx context.Context, at string) (net.Conn, error) {
	within, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := n.cfg.Network.Dial(within, "tcp", at)
	var own *peer.RefusedError
	switch {
	case err == nil:
		return c, nil
	case errors.As(context.Cause(ctx), &own):
		return nil, own
	case within.Err() != nil || intake.IsTimeout(err):
		return nil, &peer.RefusedError{Reason: peer.DialTimeout, Detail: peer.Clean(err.Error())}
	}
	return nil, &peer.RefusedError{Reason: peer.DialFailed, Detail: peer.Clean(err.Error())}
}

func (n *node) beginDial(a peer.Addr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, busy := n.dialling[a.Text]; busy || n.stopping {
		return false
	}
	n.dialling[a.Text] = struct{}{}
	return true
}

func (n *node) endDial(a peer.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.dialling, a.Text)
}

// take offers a session to the Host.
func (n *node) take(ctx context.Context, s *session) error {
	old, why := n.claim(s)
	if why != peer.OK {
		return peer.Refuse(why)
	}
	if err := n.host.Open(ctx, s, s.claims(s.theirs.Height)); err != nil {
		n.unclaim(s, old)
		refusal := &peer.RefusedError{Reason: peer.Internal, Detail: "the node failed to open the session"}
		errors.As(err, &refusal)
		return refusal
	}
	if old != nil {
		old.Close(peer.Duplicate)
	}
	return nil
}

// claim is what a session is known by. A nonce alone says little: anybody can
// send it.
type claim struct {
	nonce uint64
	at    netip.Addr
}

func (s *session) claim() claim { return claim{s.nonce, s.info.Endpoint.Addr()} }

// claim makes s the session with whoever claims its nonce at its address, or says
// why not. A nonce proves nothing, so what another address claims neither puts it
// out nor keeps it out: the node then knows the later of the two by its address
// too. In v1.0.0 whoever claims a nonce first keeps its owner out.
// From the same address the newer link stays, as in v1.0.0. But where two nodes
// have dialled each other at once each would close what the other keeps; those
// that are not of v1.0.0 keep the link that the lower nonce dialled.
func (n *node) claim(s *session) (old *session, why peer.Reason) {
	ours := n.identity.Load().nonce
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil, peer.Stopping
	}
	if old = n.sessions[s.claim()]; old != nil {
		crossed := old.inbound != s.inbound && time.Since(old.since) < crossing
		if crossed && s.soft.Known() && s.inbound == (ours < s.nonce) {
			return nil, peer.Duplicate
		}
		s.info.ID = old.info.ID
	} else if _, named := n.names[s.info.ID]; named {
		s.info.ID = peer.ID(string(s.info.ID) + "@" + s.info.Endpoint.Addr().String())
	}
	n.sessions[s.claim()] = s
	n.names[s.info.ID] = struct{}{}
	return old, peer.OK
}

// unclaim takes s out of the books; old, if it has not ended, comes back.
func (n *node) unclaim(s, old *session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sessions[s.claim()] != s {
		return
	}
	if old != nil { // of the same name
		if _, ended := old.link.End(); !ended {
			n.sessions[s.claim()] = old
			return
		}
	}
	delete(n.sessions, s.claim())
	delete(n.names, s.info.ID)
}
