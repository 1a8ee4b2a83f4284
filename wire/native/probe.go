package native

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/stranger"
)

// Probe finds out what a stranger's node is, with an identity that is thrown
// away afterwards. It meets it twice: first it only greets, with a genesis that
// is nobody's, to be told the peer's status; then it comes back as a member of
// that network and asks for a session, a ping and a header. The address is a
// multiaddr, or HOST:PORT of a TCP port, of which the identity is found out.
// The error is for an address that is none, and for a peer that could not be
// reached; whatever else is refused is a step. It blocks until ctx ends.
func Probe(ctx context.Context, address, agent string) (wire.Probed, error) {
	p := &prober{agent: agent}
	err := p.greet(ctx, address)
	if err == nil && !p.out.Claims.Genesis.IsZero() {
		err = p.join(ctx)
	}
	return p.out, err
}

// Find gives the whole address of whoever listens at HOST:PORT, a TCP port: who
// it is, is what it says itself. It blocks until ctx ends.
func Find(ctx context.Context, hostPort, agent string) (peer.Addr, error) {
	p := &prober{agent: agent}
	host, err := p.host()
	if err != nil {
		return peer.Addr{}, err
	}
	defer host.Close()
	return host.Find(ctx, hostPort)
}

// proberNetwork is the network that a prober claims to be of until it knows the
// peer's, so that whoever looks why it was refused sees that.
const proberNetwork = "starling-probe"

type prober struct {
	agent string
	out   wire.Probed
}

// host makes one with an identity of its own, which lets everybody be.
func (p *prober) host() (*p2phost.Host, error) {
	key, err := p2phost.NewKey()
	if err != nil {
		return nil, fmt.Errorf("native: probe: %w", err)
	}
	host, err := p2phost.New(p2phost.Config{Key: key, Judge: stranger.Anybody{}, Agent: p.agent, AllowPrivate: true})
	if err != nil {
		return nil, fmt.Errorf("native: probe: %w", err)
	}
	return host, nil
}

// greet connects, identifies, pings and reads the peer's status.
func (p *prober) greet(ctx context.Context, address string) error {
	host, err := p.host()
	if err != nil {
		return err
	}
	defer host.Close()
	addr, err := host.Reach(ctx, address)
	if err != nil {
		return err
	}
	var conn network.Conn
	release := func() {}
	err = p.out.Ask("connect", func() (err error) {
		conn, release, err = host.Connect(ctx, addr)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { release() }()
	if err := p.out.Ask("identify", func() error { return host.Identify(ctx, conn) }); err != nil {
		return nil
	}
	p.out.Peer = host.Info(conn)
	p.out.Ask("status", func() error { return p.status(ctx, host, conn) })
	return nil
}

// status exchanges a status with the peer, ours with a genesis that is
// nobody's: the wire has it that both sides tell before they judge.
func (p *prober) status(ctx context.Context, host *p2phost.Host, conn network.Conn) error {
	st, err := host.OpenStream(ctx, conn, codec.StatusProtocol)
	if errors.Is(err, p2phost.ErrNoProtocol) {
		return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "the peer does not speak " + codec.StatusProtocol}
	}
	if err != nil {
		return err
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	st.SetDeadline(time.Now().Add(sessionTime))
	var genesis chain.Hash
	rand.Read(genesis[:])
	ours := codec.Status{Version: codec.Version, Chain: chain.Status{Network: proberNetwork, Genesis: genesis}, Time: uint64(max(time.Now().UnixMilli(), 0)), Agent: p.agent}
	if _, err := st.Write(codec.AppendFrame(nil, codec.AppendStatus(nil, ours))); err != nil {
		return err
	}
	raw, err := codec.ReadFrame(bufio.NewReaderSize(st, 1024), codec.MaxStatus)
	if err != nil {
		return err
	}
	theirs, err := codec.DecodeStatus(raw)
	if err != nil {
		return err
	}
	p.out.Claims = theirs.Chain
	p.out.Claims.Network = peer.Clean(theirs.Chain.Network)
	p.out.Time = time.UnixMilli(int64(min(theirs.Time, 1<<53)))
	if theirs.Agent != "" {
		p.out.Peer.Agent = theirs.Agent
	}
	return nil
}

// join comes back as a member of the peer's network, and asks.
func (p *prober) join(ctx context.Context) error {
	claims := p.out.Claims
	w, err := New(Config{
		Network: claims.Network, NoListen: true, NoDHT: true, Agent: p.agent,
		Status: func() chain.Status {
			return chain.Status{Network: claims.Network, Genesis: claims.Genesis, Head: chain.Ref{Hash: claims.Genesis}}
		},
	})
	if err != nil {
		return fmt.Errorf("native: probe: %w", err)
	}
	guest, err := stranger.Enter(ctx, w)
	if err != nil {
		return err
	}
	defer guest.Leave()
	var s wire.Session
	if p.out.Ask("session", func() (err error) { s, err = guest.Dial(ctx, p.out.Peer.Addr); return err }) != nil {
		return nil
	}
	defer stranger.Part(s)
	p.out.Ask("ping", func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, sessionTime)
		defer cancel()
		p.out.RTT, err = stranger.Ping(ctx, s)
		return err
	})
	p.out.Ask("header of its head", func() error {
		res, err := s.Request(ctx, wire.GetHeaders{Range: chain.Range{From: claims.Head, Count: 1}})
		if err != nil {
			return err
		}
		if got, ok := res.(wire.Headers); !ok || len(got.Headers) == 0 {
			return errors.New("native: probe: the peer has no header of the head that it claims")
		}
		return nil
	})
	return nil
}
