package devp2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/devp2p/rlpx"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

const (
	// firstWord is how long a peer has to tell its status before it has heard
	// ours: geth does at once, others wait.
	firstWord    = 2 * time.Second
	probeBudget  = 16 << 20 // bytes of messages
	probeSkipped = 256      // messages that were not asked for, in one wait
)

// Probe finds out what a stranger's node is, with an identity that is thrown
// away afterwards. It greets, and waits for the peer's status without telling
// one. A peer that waits for ours too is told a genesis that is nobody's, says
// its own and closes; then a second link is opened. Once its status is known
// the prober is a member of that network without blocks, and asks for a pong
// and a header. The address is one that ParseAddr takes. The error is for an
// address that is none, and for a peer that could not be reached; whatever else
// is refused is a step. It blocks until ctx ends.
func Probe(ctx context.Context, address, agent string) (wire.Probed, error) {
	a, err := ParseAddr(address)
	if err != nil {
		return wire.Probed{}, err
	}
	return probe(ctx, a, Config{Agent: agent})
}

func probe(ctx context.Context, a peer.Addr, cfg Config) (wire.Probed, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return wire.Probed{}, fmt.Errorf("devp2p: probe: %w", err)
	}
	p := &prober{addr: a, n: &node{
		w: &Wire{cfg: cfg.withDefaults()}, key: key, self: IDOf(&key.PublicKey), budget: intake.NewBudget(probeBudget),
	}}
	defer p.leave()
	err = p.run(ctx)
	return p.out, err
}

type prober struct {
	n    *node
	addr peer.Addr
	out  wire.Probed

	k      *knock // nil: there is no link
	shut   func() bool
	theirs eth.Status
	deaf   bool // the peer has told its status only after ours, and closed
}

// run asks for one thing after the other.
func (p *prober) run(ctx context.Context) error {
	if err := p.out.Ask("connect", func() error { return p.connect(ctx) }); err != nil {
		return err
	}
	greeted := p.out.Ask("hello", func() error { return p.greet(ctx) })
	p.out.Peer = p.info()
	if greeted != nil || p.out.Ask("status", func() error { return p.status(ctx) }) != nil {
		return nil
	}
	p.out.Claims = claims(p.version(), p.theirs)
	if p.out.Ask("session", func() error { return p.join(ctx) }) != nil {
		return nil
	}
	p.out.Ask("ping", func() (err error) { p.out.RTT, err = p.ping(ctx); return err })
	p.out.Ask("header of its head", func() error { return p.head(ctx) })
	return nil
}

// connect opens a link and shakes hands in RLPx.
func (p *prober) connect(ctx context.Context) error {
	id, host, port, ok := parts(p.addr)
	remote := keyOf(id)
	if !ok || remote == nil {
		return &peer.RefusedError{Reason: peer.BadAddr, Detail: peer.Clean(p.addr.Text)}
	}
	dial, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	c, err := p.n.connect(dial, host, port)
	if err != nil {
		return err
	}
	p.k = &knock{n: p.n, raw: c, outbound: true, link: wire.Link{Direction: peer.Outbound, Addr: p.addr, Endpoint: endpointOf(c), Asked: true}}
	p.shut = context.AfterFunc(ctx, func() { c.Close() })
	c.SetDeadline(time.Now().Add(helloTime))
	if p.k.codec, err = rlpx.Initiate(c, p.n.key, remote); err != nil {
		err = p.k.refusal(ctx, err)
		p.leave()
		return err
	}
	p.k.conn = framed.NewConn(c, p.k.codec, p.n.budget)
	return nil
}

// leave says goodbye and closes the link.
func (p *prober) leave() {
	if p.k == nil {
		return
	}
	if p.k.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.k.conn.Write(ctx, base.DisconnectMsg, base.Requested.Append(nil))
	}
	for _, f := range p.k.early {
		f.Release()
	}
	p.shut()
	p.k.raw.Close()
	p.k = nil
}

func (p *prober) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	if err := p.k.greet(ctx); err != nil {
		return p.k.refusal(ctx, err)
	}
	return nil
}

func (p *prober) version() eth.Version { return eth.Version(p.k.eth.Version) }

// info is what Hello has told.
func (p *prober) info() peer.Info {
	id, host, _, _ := parts(p.addr)
	h := p.k.hello
	info := peer.Info{
		ID: id, Wire: Name, Addr: p.addr, Endpoint: p.k.link.Endpoint, Direction: peer.Outbound, Agent: h.Agent, Proven: true,
	}
	for _, c := range h.Caps {
		info.Protocols = append(info.Protocols, c.String())
	}
	slices.Sort(info.Protocols)
	if h.Port > 0 && h.Port <= 0xffff {
		info.Listen = []peer.Addr{addrOf(id, host, int(h.Port), 0)}
	}
	return info
}

// status learns the peer's.
func (p *prober) status(ctx context.Context) (err error) {
	v := p.version()
	first, cancel := context.WithTimeout(ctx, firstWord)
	p.theirs, err = p.k.status(first, v)
	cancel()
	if errors.Is(err, framed.ErrIdle) && ctx.Err() == nil {
		p.deaf = true
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		defer cancel()
		nobody := eth.Status{Version: uint64(v)}
		rand.Read(nobody.Genesis[:])
		nobody.Head = nobody.Genesis
		if err = p.say(ctx, nobody); err == nil {
			p.theirs, err = p.k.status(ctx, v)
		}
	}
	if err != nil {
		return p.k.refusal(ctx, err)
	}
	return nil
}

func (p *prober) say(ctx context.Context, s eth.Status) error {
	return p.k.conn.Write(ctx, p.k.eth.Offset+eth.StatusMsg, s.Append(nil, p.version()))
}

// join becomes a member of the peer's network: with its genesis and rules, and
// no block beyond genesis. A pong shows that it was taken.
func (p *prober) join(ctx context.Context) (err error) {
	if p.deaf {
		p.leave()
		if err := p.connect(ctx); err != nil {
			return err
		}
		if err := p.greet(ctx); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			err = p.k.refusal(ctx, err)
		}
	}()
	late, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	v, t := p.version(), p.theirs
	if err := p.say(late, eth.Status{Version: uint64(v), Network: t.Network, Genesis: t.Genesis, Fork: t.Fork, Head: t.Genesis}); err != nil {
		return err
	}
	if p.deaf {
		if p.theirs, err = p.k.status(late, v); err != nil {
			return err
		}
	}
	_, err = p.ping(late)
	return err
}

// ping measures a round trip.
func (p *prober) ping(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	_, err := p.answer(ctx, base.PingMsg, []byte{0xc0}, base.PongMsg)
	return time.Since(begin), err
}

// answer sends a message and waits for the one that answers it.
func (p *prober) answer(ctx context.Context, code uint64, payload []byte, want uint64) (body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	if err := p.k.conn.Write(ctx, code, payload); err != nil {
		return nil, err
	}
	for range probeSkipped {
		f, err := p.k.conn.Read(ctx, statusTime)
		if err != nil {
			return nil, err
		}
		body := slices.Clone(f.Payload)
		f.Release()
		switch f.Code {
		case want:
			return body, nil
		case base.DisconnectMsg:
			return nil, p.k.told(framed.Frame{Code: f.Code, Payload: body})
		case base.PingMsg:
			if err := p.k.conn.Write(ctx, base.PongMsg, []byte{0xc0}); err != nil {
				return nil, err
			}
		}
	}
	return nil, &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: fmt.Sprintf("no answer among the next %d messages", probeSkipped)}
}

// head asks for the header of the block that the peer calls its newest, and
// learns its number by it where the version does not tell.
func (p *prober) head(ctx context.Context) error {
	offset := p.k.eth.Offset
	ask := eth.GetBlockHeaders{ID: 1, Origin: chain.Ref{Hash: p.theirs.Head}, Amount: 1}
	raw, err := p.answer(ctx, offset+eth.GetBlockHeadersMsg, ask.Append(nil), offset+eth.BlockHeadersMsg)
	if err != nil {
		return p.k.refusal(ctx, err)
	}
	res, err := eth.DecodeBlockHeaders(raw, 1)
	if err != nil {
		return err
	}
	if len(res.Headers) == 0 {
		return errors.New("devp2p: probe: the peer has no header of the head that it claims")
	}
	h, err := eth.ParseHeader(res.Headers[0])
	if err != nil {
		return err
	}
	if h.Ref.Hash != p.theirs.Head {
		return errors.New("devp2p: probe: the peer gave another header than that of its head")
	}
	p.out.Claims.Head = h.Ref
	return nil
}
