package native

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
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
	return p.locate(ctx, host, hostPort)
}

type prober struct {
	agent string
	out   wire.Probed
}

// step runs one thing that is asked, and notes what came of it.
func (p *prober) step(name string, f func() error) error {
	begin := time.Now()
	err := f()
	p.out.Steps = append(p.out.Steps, wire.ProbeStep{Name: name, Took: time.Since(begin), Err: err})
	return err
}

// host makes one with an identity of its own, which lets everybody be.
func (p *prober) host() (*p2phost.Host, error) {
	key, err := p2phost.NewKey()
	if err != nil {
		return nil, fmt.Errorf("native: probe: %w", err)
	}
	host, err := p2phost.New(p2phost.Config{Key: key, Judge: anybody{}, Agent: p.agent, AllowPrivate: true})
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
	addr, err := p.locate(ctx, host, address)
	if err != nil {
		return err
	}
	var conn network.Conn
	release := func() {}
	err = p.step("connect", func() (err error) {
		conn, release, err = host.Connect(ctx, addr)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { release() }()
	if err := p.step("identify", func() error { return host.Identify(ctx, conn) }); err != nil {
		return nil
	}
	p.out.Peer = host.Info(conn)
	p.step("status", func() error { return p.status(ctx, host, conn) })
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
	ours := codec.Status{Version: codec.Version, Chain: chain.Status{Genesis: genesis}, Time: uint64(max(time.Now().UnixMilli(), 0)), Agent: p.agent}
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

// locate reads the address. HOST:PORT names nobody: whoever is there tells who
// it is by refusing an identity that is nobody's.
func (p *prober) locate(ctx context.Context, host *p2phost.Host, address string) (peer.Addr, error) {
	at, port, err := net.SplitHostPort(address)
	if strings.HasPrefix(address, "/") || err != nil {
		return p2phost.ParseAddr(address)
	}
	kind := "dns"
	if ip := net.ParseIP(at); ip != nil {
		if kind = "ip4"; ip.To4() == nil {
			kind = "ip6"
		}
	}
	place := fmt.Sprintf("/%s/%s/tcp/%s", kind, at, port)
	nobody, err := p2phost.NewKey()
	if err != nil {
		return peer.Addr{}, fmt.Errorf("native: probe: %w", err)
	}
	id, err := libpeer.IDFromPrivateKey(nobody)
	if err != nil {
		return peer.Addr{}, fmt.Errorf("native: probe: %w", err)
	}
	addr, err := p2phost.ParseAddr(place + "/p2p/" + id.String())
	if err != nil {
		return addr, err
	}
	_, release, err := host.Connect(ctx, addr)
	if err == nil {
		release()
		return peer.Addr{}, errors.New("native: probe: the peer took an identity that is not its own")
	}
	found, ok := p2phost.Mistaken(err)
	if !ok {
		return peer.Addr{}, err
	}
	return p2phost.ParseAddr(place + "/p2p/" + found)
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
	ctx, cancel := context.WithCancel(ctx)
	sessions := make(chan wire.Session, 1)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, member{anybody{}, sessions}) }()
	defer func() { cancel(); <-ended }()
	select {
	case <-w.Ready():
	case err := <-ended:
		ended <- err
		return err
	}
	if p.step("session", func() error { return w.Dial(ctx, p.out.Peer.Addr) }) != nil {
		return nil
	}
	s := <-sessions
	defer s.Close(peer.Requested)
	p.step("ping", func() (err error) {
		pinger, ok := s.(wire.Pinger)
		if !ok {
			return wire.ErrUnsupported
		}
		ctx, cancel := context.WithTimeout(ctx, sessionTime)
		defer cancel()
		p.out.RTT, err = pinger.Ping(ctx)
		return err
	})
	p.step("header of its head", func() error {
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

// anybody lets every connection be and forgets what it is told.
type anybody struct{}

func (anybody) Admit(wire.Link) peer.Reason { return peer.OK }
func (anybody) Report(wire.Report)          {}

// member is a Host without a chain: it serves nobody and takes the one session
// that the prober asked for.
type member struct {
	anybody
	sessions chan wire.Session
}

func (m member) Open(_ context.Context, s wire.Session, _ chain.Status) error {
	select {
	case m.sessions <- s:
		return nil
	default:
		return peer.Refuse(peer.TooManyPeers)
	}
}

func (m member) Check(context.Context, wire.Session, wire.Message) chain.Verdict {
	return chain.Verdict{Action: chain.Ignore, Reason: "a prober takes nothing"}
}

func (m member) Serve(context.Context, wire.Session, wire.Request) (wire.Response, error) {
	return nil, wire.ErrUnsupported
}
