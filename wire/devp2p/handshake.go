package devp2p

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/devp2p/rlpx"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
)

// maxMessage bounds every message behind Hello.
const maxMessage = eth.MaxMessage

// What other protocols may say before eth's handshake has ended.
const (
	earlyFrames = 16
	earlyBytes  = 64 << 10
)

// knock is one link on its way to a session.
type knock struct {
	n        *node
	raw      net.Conn
	link     wire.Link
	outbound bool
	done     func() // the handshake is over; nil: nobody wants to know

	writing sync.Mutex // of conn, while Status is awaited

	codec  *rlpx.Codec
	conn   *framed.Conn
	hello  base.Hello
	shares []base.Share
	eth    base.Share // of shares, that of eth
	early  []framed.Frame
	bytes  int // of early
}

// run makes the link a session, or closes it and says why not.
func (k *knock) run(ctx context.Context, shake func() (*rlpx.Codec, error)) error {
	stop := context.AfterFunc(ctx, func() { k.raw.Close() })
	defer stop()
	s, err := k.session(ctx, shake)
	if err == nil {
		stop() // if that is too late, the link is closed and so is the session
		if k.done != nil {
			k.done()
		}
		s.start()
		return nil
	}
	why := k.refusal(ctx, err)
	var fault *wire.Fault
	if errors.As(err, &fault) {
		r := wire.Offended{Link: k.link, Offense: fault.Offense, Detail: peer.Clean(fault.Err.Error())}
		if errors.Is(err, base.ErrManyCaps) {
			r.Severity = peer.High
		}
		k.n.host.Report(r)
	}
	if !k.outbound {
		k.n.host.Report(wire.Refused{Link: k.link, Reason: why.Reason, Remote: why.Remote, Detail: why.Detail})
	}
	k.n.w.cfg.Logger.Debug("no session", "addr", k.link.Endpoint.String(), "reason", string(why.Reason), "err", why.Detail)
	for _, f := range k.early {
		f.Release()
	}
	k.part(ctx, why)
	return why
}

// part closes the link, and tells the other side why, unless it has said so
// itself or nobody can tell.
func (k *knock) part(ctx context.Context, why *peer.RefusedError) {
	if k.conn == nil || why.Remote || ctx.Err() != nil {
		k.raw.Close()
		return
	}
	link := framed.NewLink(k.conn, framed.Config{Handle: func(f framed.Frame) error { f.Release(); return nil }})
	link.CloseWith(why.Reason, goodbye(base.ReasonFor(why.Reason)))
	if !k.outbound {
		link.Run(k.n.ctx) // its place among the handshakes bounds the goodbyes too
	} else if !k.n.goes(func() { link.Run(k.n.ctx) }) {
		k.raw.Close()
	}
}

func goodbye(r base.Reason) framed.Out {
	return framed.Out{Code: base.DisconnectMsg, Payload: r.Append(nil)}
}

// refusal makes an error of the handshake a reason.
func (k *knock) refusal(ctx context.Context, err error) *peer.RefusedError {
	var own *peer.RefusedError
	var fault *wire.Fault
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &fault) && fault.Offense != peer.TruncatedFrame:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(fault.Err.Error())}
	case errors.Is(err, rlpx.ErrHandshake), errors.Is(err, rlpx.ErrMAC):
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: peer.Clean(err.Error())}
	case intake.IsTimeout(err), errors.Is(err, framed.ErrIdle), errors.Is(err, framed.ErrSlow), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &peer.RefusedError{Reason: peer.HandshakeSlow, Detail: "no answer in the time for a handshake"}
	case ctx.Err() != nil:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: "given up"}
	case k.codec == nil && k.outbound:
		return &peer.RefusedError{Reason: peer.HandshakeFailed, Detail: "it closed the link without an answer: it has another identity, or no room"}
	}
	return &peer.RefusedError{Reason: peer.LinkLost, Detail: "the link ended in the handshake"}
}

// session runs the handshakes. On error nothing is claimed.
func (k *knock) session(ctx context.Context, shake func() (*rlpx.Codec, error)) (*session, error) {
	if k.outbound {
		// The dialler knows whom it dials; still the first question is without.
		if why := k.n.host.Admit(k.identified(k.link.Addr)); why != peer.OK {
			return nil, peer.Refuse(why)
		}
	}
	early, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	at, _ := early.Deadline()
	k.raw.SetDeadline(at)
	codec, err := shake()
	if err != nil {
		return nil, err
	}
	k.codec = codec
	k.conn = framed.NewConn(k.raw, codec, k.n.budget)
	id := IDOf(codec.Remote())
	k.link.ID = id
	if id == k.n.self {
		return nil, peer.Refuse(peer.Self)
	}
	if !k.outbound {
		if why := k.n.host.Admit(k.link); why != peer.OK {
			return nil, peer.Refuse(why)
		}
	}
	if err := k.greet(early); err != nil {
		return nil, err
	}
	if !k.outbound {
		k.n.yield(ctx, id)
	}
	cl, why := k.n.take(id)
	if why != peer.OK {
		if why == peer.Duplicate && !k.outbound {
			k.n.probe(id)
		}
		return nil, peer.Refuse(why)
	}
	late, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	s, err := k.agree(ctx, late, cl)
	if err != nil {
		k.n.give(id, cl)
		return nil, err
	}
	return s, nil
}

// identified is the link with the identity that an address names.
func (k *knock) identified(a peer.Addr) wire.Link {
	l := k.link
	if _, id, ok := k.n.w.Locate(a); ok || id != "" {
		l.ID = id
	}
	return l
}

// greet exchanges Hello and shares out the codes.
func (k *knock) greet(ctx context.Context) error {
	ours := base.Hello{Version: base.Version, Agent: k.n.w.cfg.Agent, Caps: base.Caps(k.n.w.cfg.offers()), Port: k.n.port()}
	copy(ours.ID[:], exportID(&k.n.key.PublicKey))
	if err := k.conn.Write(ctx, base.HelloMsg, ours.Append(nil)); err != nil {
		return err
	}
	f, err := k.conn.Read(ctx, helloTime)
	if err != nil {
		return err
	}
	defer f.Release()
	switch f.Code {
	case base.HelloMsg:
	case base.DisconnectMsg:
		return k.told(f)
	default:
		return &wire.Fault{Offense: peer.BadEncoding, Err: fmt.Errorf("devp2p: message %d instead of Hello", f.Code)}
	}
	if k.hello, err = base.DecodeHello(f.Payload); err != nil {
		return err
	}
	if string(k.hello.ID[:]) != string(exportID(k.codec.Remote())) {
		return &peer.RefusedError{Reason: peer.WrongIdentity, Detail: "Hello names another identity, " + hex.EncodeToString(k.hello.ID[:4]) + "…"}
	}
	k.codec.Establish(maxMessage, k.hello.Version >= base.SnappyVersion)
	k.shares = base.Match(k.n.w.cfg.offers(), k.hello.Caps)
	for _, s := range k.shares {
		if s.Name == eth.Name {
			k.eth = s
			return nil
		}
	}
	return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: peer.Clean(fmt.Sprintf("we speak %v, the peer %v", ours.Caps, k.hello.Caps))}
}

// told makes a Disconnect the reason that it gives.
func (k *knock) told(f framed.Frame) error {
	r, err := base.DecodeDisconnect(f.Payload)
	if err != nil {
		return err
	}
	return &peer.RefusedError{Reason: r.Why(true), Remote: true, Detail: r.String()}
}

// agree exchanges Status and offers the session to the Host. The side that was
// dialled answers with its own once its Host has taken the session, so that the
// dialler's Host never takes one that is refused over there; to a dialler that
// waits to be told first, as it may, it does not wait (devp2p eth, §Status: both
// sides send at once).
func (k *knock) agree(ctx, late context.Context, cl *claim) (*session, error) {
	v := eth.Version(k.eth.Version)
	ours := k.n.status(v)
	write := sync.OnceValue(func() error {
		return k.write(late, k.eth.Offset+eth.StatusMsg, ours.Append(nil, v))
	})
	patience := statusPatience
	if k.outbound {
		patience = 0
		if err := write(); err != nil {
			return nil, err
		}
	}
	theirs, err := k.awaitStatus(late, v, patience, write)
	if err != nil {
		return nil, err
	}
	if why := k.n.judge(v, ours, theirs); why != nil {
		if !k.outbound {
			write() // so that both sides know why
		}
		return nil, why
	}
	s := newSession(k, cl, v)
	s.theirs = theirs
	s.told.Store(&chain.Ref{Number: ours.Latest, Hash: ours.Head})
	claimed := claims(v, theirs)
	if k.n.w.cfg.TargetOnly {
		claimed = chain.Status{Network: claimed.Network, Genesis: claimed.Genesis}
	}
	k.n.offer(cl, s)
	if err := k.n.host.Open(ctx, s, claimed); err != nil {
		refusal := &peer.RefusedError{Reason: peer.Internal, Detail: "the node failed to open the session"}
		errors.As(err, &refusal)
		s.abandon(refusal.Reason)
		return nil, refusal
	}
	s.taken = true
	if !k.outbound {
		if err := write(); err != nil {
			s.link.CloseByRemote(peer.LinkLost, "") // reported as the Host has it now
		}
	}
	if !k.n.settle(cl, s) {
		s.Close(peer.Stopping)
	}
	return s, nil
}

// statusPatience is how long a dialler's Status is waited for before ours is sent.
const statusPatience = 500 * time.Millisecond

// awaitStatus reads theirs, and sends ours where that does not come soon.
func (k *knock) awaitStatus(ctx context.Context, v eth.Version, patience time.Duration, send func() error) (eth.Status, error) {
	if patience <= 0 {
		return k.status(ctx, v)
	}
	came := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-came:
		case <-t.C:
			send() // whoever writes next hears of an error
		}
	})
	theirs, err := k.status(ctx, v)
	close(came)
	sender.Wait()
	return theirs, err
}

// write sends a message of the handshake; two may at once.
func (k *knock) write(ctx context.Context, code uint64, payload []byte) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	return k.conn.Write(ctx, code, payload)
}

// status reads theirs. What else may come before is answered, or kept.
func (k *knock) status(ctx context.Context, v eth.Version) (eth.Status, error) {
	for {
		f, err := k.conn.Read(ctx, statusTime)
		if err != nil {
			return eth.Status{}, err
		}
		switch {
		case f.Code == base.DisconnectMsg:
			defer f.Release()
			return eth.Status{}, k.told(f)
		case f.Code == base.PingMsg:
			f.Release()
			if err := k.write(ctx, base.PongMsg, []byte{0xc0}); err != nil {
				return eth.Status{}, err
			}
		case f.Code == k.eth.Offset+eth.StatusMsg:
			defer f.Release()
			return eth.DecodeStatus(f.Payload, v)
		case k.other(f.Code) && len(k.early) < earlyFrames && k.bytes+f.Size() <= earlyBytes:
			k.early = append(k.early, f)
			k.bytes += f.Size()
		default:
			f.Release()
			return eth.Status{}, &wire.Fault{Offense: peer.BadEncoding, Err: fmt.Errorf("devp2p: message %d instead of Status", f.Code)}
		}
	}
}

// other reports whether a code is that of a protocol other than eth.
func (k *knock) other(code uint64) bool {
	for _, s := range k.shares {
		if code >= s.Offset && code < s.Offset+s.Length {
			return s.Name != eth.Name
		}
	}
	return false
}

// status is what we say of ourselves.
func (n *node) status(v eth.Version) eth.Status {
	s, cfg := n.w.cfg.Status(), n.w.cfg
	return eth.Status{
		Version: uint64(v), Network: cfg.NetworkID, Genesis: s.Genesis,
		Fork:       cfg.Forks.ID(s.Head.Number, cfg.HeadTime()),
		Difficulty: s.Weight, Head: headOr(s).Hash, Earliest: s.Earliest, Latest: s.Head.Number,
	}
}

// headOr is the head, or genesis where a chain has nothing else.
func headOr(s chain.Status) chain.Ref {
	if s.Head.Hash.IsZero() {
		return chain.Ref{Number: s.Head.Number, Hash: s.Genesis}
	}
	return s.Head
}

// judge says what stands against a peer with that status; nil if nothing. The
// order is geth's (eth/protocols/eth).
func (n *node) judge(v eth.Version, ours, theirs eth.Status) *peer.RefusedError {
	cfg := n.w.cfg
	refuse := func(why peer.Reason, format string, args ...any) *peer.RefusedError {
		return &peer.RefusedError{Reason: why, Detail: peer.Clean(fmt.Sprintf(format, args...))}
	}
	switch {
	case theirs.Network != ours.Network:
		return refuse(peer.WrongNetwork, "ours is %s (%d), the peer's is %d", cfg.Network, ours.Network, theirs.Network)
	case theirs.Version != uint64(v):
		return refuse(peer.NoCommonProto, "eth/%d was agreed, the peer's status is of %d", v, theirs.Version)
	case theirs.Genesis != ours.Genesis:
		return refuse(peer.WrongGenesis, "ours is %s, the peer's is %s", ours.Genesis, theirs.Genesis)
	}
	if err := cfg.Forks.Check(theirs.Fork, cfg.Status().Head.Number, cfg.HeadTime()); err != nil {
		return refuse(peer.WrongNetwork, "%v", err)
	}
	if !v.HasDifficulty() {
		if err := eth.CheckRange(theirs.Earliest, chain.Ref{Number: theirs.Latest, Hash: theirs.Head}); err != nil {
			return refuse(peer.HandshakeFailed, "%v", err)
		}
	}
	return nil
}

// claims is what a status says of the peer's chain. Under eth/68 the number of
// its head is not told: then there is no head in it, see findHead. From eth/69
// on the weight is not told.
func claims(v eth.Version, s eth.Status) chain.Status {
	c := chain.Status{Network: fmt.Sprint(s.Network), Genesis: s.Genesis}
	if v.HasDifficulty() {
		c.Weight = s.Difficulty
	} else {
		c.Head, c.Earliest = chain.Ref{Number: s.Latest, Hash: s.Head}, s.Earliest
	}
	return c
}

// port is what Hello says of where we listen.
func (n *node) port() uint64 {
	if n.listener == nil {
		return 0
	}
	if eps := n.w.cfg.Advertise; len(eps) > 0 {
		return uint64(eps[0].Port())
	}
	if is := n.outside.Load(); is != nil && is.tcp != 0 {
		return uint64(is.tcp)
	}
	if a, ok := n.listener.Addr().(*net.TCPAddr); ok {
		return uint64(a.Port)
	}
	return 0
}

// probeTime is what a session has to show that it lives.
const probeTime = 2 * time.Second

// probe checks a session in whose favour another was refused: if its peer does
// not answer, it must have dialled because it lost that session.
func (n *node) probe(id peer.ID) {
	s := n.sessionWith(id)
	if s == nil {
		return
	}
	n.goes(func() {
		ctx, cancel := context.WithTimeout(n.ctx, probeTime)
		defer cancel()
		if _, err := s.Ping(ctx); err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.Close(peer.Idle)
		}
	})
}
