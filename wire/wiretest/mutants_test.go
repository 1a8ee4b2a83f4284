package wiretest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/native"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// mutant is a correct wire that breaks one rule.
type mutant struct {
	*native.Wire
	caps    func(wire.Caps) wire.Caps
	parse   func(string) (peer.Addr, error)
	dial    func(context.Context, peer.Addr, func(context.Context, peer.Addr) error) error
	run     func(context.Context, wire.Host, func(context.Context, wire.Host) error) error
	addrs   func([]peer.Addr) []peer.Addr
	publish func(context.Context, wire.Message, func(context.Context, wire.Message) (wire.Receipt, error)) (wire.Receipt, error)
	leave   func(context.Context, string) error
	self    func() peer.ID
	host    func(*hostMutant)
}

func (m *mutant) Caps() wire.Caps {
	if m.caps != nil {
		return m.caps(m.Wire.Caps())
	}
	return m.Wire.Caps()
}

func (m *mutant) ParseAddr(s string) (peer.Addr, error) {
	if m.parse != nil {
		return m.parse(s)
	}
	return m.Wire.ParseAddr(s)
}

func (m *mutant) Dial(ctx context.Context, a peer.Addr) error {
	if m.dial != nil {
		return m.dial(ctx, a, m.Wire.Dial)
	}
	return m.Wire.Dial(ctx, a)
}

func (m *mutant) Addrs() []peer.Addr {
	if m.addrs != nil {
		return m.addrs(m.Wire.Addrs())
	}
	return m.Wire.Addrs()
}

func (m *mutant) Publish(ctx context.Context, msg wire.Message) (wire.Receipt, error) {
	if m.publish != nil {
		return m.publish(ctx, msg, m.Wire.Publish)
	}
	return m.Wire.Publish(ctx, msg)
}

func (m *mutant) LeaveTopic(ctx context.Context, name string) error {
	if m.leave != nil {
		return m.leave(ctx, name)
	}
	return m.Wire.LeaveTopic(ctx, name)
}

func (m *mutant) Self() peer.ID {
	if m.self != nil {
		return m.self()
	}
	return m.Wire.Self()
}

func (m *mutant) Run(ctx context.Context, h wire.Host) error {
	if m.host != nil {
		hm := &hostMutant{Host: h, sessions: map[wire.Session]wire.Session{}}
		m.host(hm)
		h = hm
	}
	if m.run != nil {
		return m.run(ctx, h, m.Wire.Run)
	}
	return m.Wire.Run(ctx, h)
}

// hostMutant stands between the wire and its Host.
type hostMutant struct {
	wire.Host
	admit   func(wire.Link, func(wire.Link) peer.Reason) peer.Reason
	open    func(context.Context, wire.Session, chain.Status) error
	report  func(wire.Report)
	check   func(context.Context, wire.Session, wire.Message) chain.Verdict
	serve   func(context.Context, wire.Session, wire.Request) (wire.Response, error)
	session func(*sessionMutant)

	mu       sync.Mutex
	sessions map[wire.Session]wire.Session
}

// wrap gives the session that the Host is shown for one of the wire's.
func (h *hostMutant) wrap(s wire.Session) wire.Session {
	if h.session == nil || s == nil {
		return s
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s] == nil {
		sm := &sessionMutant{Session: s}
		h.session(sm)
		h.sessions[s] = sm
	}
	return h.sessions[s]
}

func (h *hostMutant) Admit(l wire.Link) peer.Reason {
	if h.admit != nil {
		return h.admit(l, h.Host.Admit)
	}
	return h.Host.Admit(l)
}

func (h *hostMutant) Open(ctx context.Context, s wire.Session, c chain.Status) error {
	if h.open != nil {
		return h.open(ctx, s, c)
	}
	return h.Host.Open(ctx, h.wrap(s), c)
}

func (h *hostMutant) Report(r wire.Report) {
	if c, ok := r.(wire.Closed); ok {
		c.Session = h.wrap(c.Session)
		r = c
	}
	if h.report != nil {
		h.report(r)
		return
	}
	h.Host.Report(r)
}

func (h *hostMutant) Check(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
	if h.check != nil {
		return h.check(ctx, s, m)
	}
	return h.Host.Check(ctx, h.wrap(s), m)
}

func (h *hostMutant) Serve(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
	if h.serve != nil {
		return h.serve(ctx, s, r)
	}
	return h.Host.Serve(ctx, h.wrap(s), r)
}

// sessionMutant stands before a session.
type sessionMutant struct {
	wire.Session
	peer    func(peer.Info) peer.Info
	send    func(context.Context, wire.Lane, wire.Message) error
	request func(context.Context, wire.Request) (wire.Response, error)
	close   func(peer.Reason)
	done    func() <-chan struct{}
}

func (s *sessionMutant) Peer() peer.Info {
	if s.peer != nil {
		return s.peer(s.Session.Peer())
	}
	return s.Session.Peer()
}

func (s *sessionMutant) Send(ctx context.Context, l wire.Lane, m wire.Message) error {
	if s.send != nil {
		return s.send(ctx, l, m)
	}
	return s.Session.Send(ctx, l, m)
}

func (s *sessionMutant) Request(ctx context.Context, r wire.Request) (wire.Response, error) {
	if s.request != nil {
		return s.request(ctx, r)
	}
	return s.Session.Request(ctx, r)
}

func (s *sessionMutant) Close(why peer.Reason) {
	if s.close != nil {
		s.close(why)
		return
	}
	s.Session.Close(why)
}

func (s *sessionMutant) Done() <-chan struct{} {
	if s.done != nil {
		return s.done()
	}
	return s.Session.Done()
}

func onHost(f func(*hostMutant)) func(*mutant) { return func(m *mutant) { m.host = f } }

func onSession(f func(*sessionMutant)) func(*mutant) {
	return onHost(func(h *hostMutant) { h.session = f })
}

type breakage struct {
	check, name string
	mutate      func(*mutant)
}

func breakages() []breakage {
	return []breakage{
		{"CapsAreConstant", "caps that vary", func(m *mutant) {
			m.caps = func(c wire.Caps) wire.Caps { c.MaxInFlight += rand.IntN(1 << 20); return c }
		}},
		{"CapsAreConstant", "topics without a publisher", func(m *mutant) {
			m.caps = func(c wire.Caps) wire.Caps { c.Gossip = wire.GossipSessions; return c }
		}},
		{"AddressesSurviveTheirText", "any text is an address", func(m *mutant) {
			m.parse = func(s string) (peer.Addr, error) { return peer.Addr{Scheme: "multiaddr", Text: s}, nil }
		}},
		{"AddressesSurviveTheirText", "addresses that it does not read back", func(m *mutant) {
			m.addrs = func(as []peer.Addr) []peer.Addr {
				for i := range as {
					as[i].Text += "x"
				}
				return as
			}
		}},
		{"IdleBeforeRun", "addresses before Run", func(m *mutant) {
			m.addrs = func(as []peer.Addr) []peer.Addr {
				if len(as) == 0 {
					return []peer.Addr{{Scheme: "multiaddr", Text: "/ip4/1.2.3.4/tcp/1"}}
				}
				return as
			}
		}},
		{"IdleBeforeRun", "no ErrClosed before Run", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				if err := inner(ctx, a); errors.Is(err, wire.ErrClosed) {
					return errors.New("closed")
				}
				return inner(ctx, a)
			}
		}},
		{"IdleBeforeRun", "no identity", func(m *mutant) { m.self = func() peer.ID { return "" } }},
		{"RunIsCalledOnce", "a second Run that says nothing", func(m *mutant) {
			ran := false
			m.run = func(ctx context.Context, h wire.Host, inner func(context.Context, wire.Host) error) error {
				if ran {
					return nil
				}
				ran = true
				return inner(ctx, h)
			}
		}},
		{"DialOpensOneSession", "Dial returns before the session", func(m *mutant) {
			m.dial = func(_ context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				go inner(context.Background(), a)
				return nil
			}
		}},
		{"DialOpensOneSession", "a session is offered twice", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				return errors.Join(h.Host.Open(ctx, s, c), h.Host.Open(ctx, s, c))
			}
		})},
		{"DialOpensOneSession", "directions are swapped", onSession(func(s *sessionMutant) {
			s.peer = func(i peer.Info) peer.Info { i.Direction = 1 - i.Direction; return i }
		})},
		{"DialOpensOneSession", "the identity is not the peer's", onSession(func(s *sessionMutant) {
			s.peer = func(i peer.Info) peer.Info { i.ID += "x"; return i }
		})},
		{"CloseReachesBothSides", "Closed is reported twice", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				h.Host.Report(r)
				if _, ok := r.(wire.Closed); ok {
					h.Host.Report(r)
				}
			}
		})},
		{"CloseReachesBothSides", "Closed is not reported", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if _, ok := r.(wire.Closed); !ok {
					h.Host.Report(r)
				}
			}
		})},
		{"CloseReachesBothSides", "nobody knows who closed", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if c, ok := r.(wire.Closed); ok {
					c.ByRemote = false
					r = c
				}
				h.Host.Report(r)
			}
		})},
		{"CloseTellsWhy", "the reason is lost", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if c, ok := r.(wire.Closed); ok && c.ByRemote {
					c.Reason = peer.LinkLost
					r = c
				}
				h.Host.Report(r)
			}
		})},
		{"CloseIsIdempotent", "Close blocks", onSession(func(s *sessionMutant) {
			s.close = func(why peer.Reason) {
				time.Sleep(time.Second)
				s.Session.Close(why)
			}
		})},
		{"CloseIsIdempotent", "the last reason counts", onSession(func(s *sessionMutant) {
			var closing atomic.Bool
			s.close = func(peer.Reason) {
				if closing.Swap(true) {
					return
				}
				go func() {
					time.Sleep(100 * time.Millisecond)
					s.Session.Close(peer.Useless)
				}()
			}
		})},
		{"CloseIsIdempotent", "Done stays open", onSession(func(s *sessionMutant) { s.done = func() <-chan struct{} { return make(chan struct{}) } })},
		{"CloseIsIdempotent", "Send after Close is nil", onSession(func(s *sessionMutant) {
			s.send = func(ctx context.Context, l wire.Lane, m wire.Message) error {
				s.Session.Send(ctx, l, m)
				return nil
			}
		})},
		{"SimultaneousDialsLeaveOne", "a duplicate is closed and nobody told", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				go h.Host.Open(ctx, &sessionMutant{Session: s}, c)
				return h.Host.Open(ctx, s, c)
			}
		})},
		{"SimultaneousDialsLeaveOne", "a duplicate is charged", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				h.Host.Report(wire.Offended{Session: s, Offense: peer.StreamFlood})
				return h.Host.Open(ctx, s, c)
			}
		})},
		{"ReconnectAfterClose", "a peer can be dialled once", func(m *mutant) {
			seen := map[peer.Addr]bool{}
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				if seen[a] {
					return peer.Refuse(peer.Duplicate)
				}
				seen[a] = true
				return inner(ctx, a)
			}
		}},
		{"IdleSessionsStay", "idle sessions are closed", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				go func() {
					time.Sleep(90 * time.Second)
					s.Close(peer.Idle)
				}()
				return h.Host.Open(ctx, s, c)
			}
		})},
		{"RefusalReachesTheDialler", "the remote's reason is lost", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				if inner(ctx, a) != nil {
					return peer.Refuse(peer.HandshakeFailed)
				}
				return nil
			}
		}},
		{"RefusalReachesTheDialler", "an error without a reason", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				if inner(ctx, a) != nil {
					return errors.New("no")
				}
				return nil
			}
		}},
		{"RefusalReachesTheDialler", "a refused session is reported Closed", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				err := h.Host.Open(ctx, s, c)
				if err != nil {
					h.Host.Report(wire.Closed{Session: s, Reason: peer.TooManyPeers})
				}
				return err
			}
		})},
		{"RefusalByTheDiallersHost", "the Host's refusal is not obeyed", onHost(func(h *hostMutant) {
			h.open = func(ctx context.Context, s wire.Session, c chain.Status) error {
				h.Host.Open(ctx, s, c)
				return nil
			}
		})},
		{"AdmitBeforeTheHandshake", "Admit is not asked before the handshake", onHost(func(h *hostMutant) {
			h.admit = func(l wire.Link, inner func(wire.Link) peer.Reason) peer.Reason {
				if l.ID == "" {
					return peer.OK
				}
				return inner(l)
			}
		})},
		{"AdmitBeforeTheHandshake", "Admit is asked and not obeyed", onHost(func(h *hostMutant) {
			h.admit = func(l wire.Link, inner func(wire.Link) peer.Reason) peer.Reason {
				inner(l)
				return peer.OK
			}
		})},
		{"AdmitOnceTheIdentityIsKnown", "Admit is not asked about identities", onHost(func(h *hostMutant) {
			h.admit = func(l wire.Link, inner func(wire.Link) peer.Reason) peer.Reason {
				if l.ID != "" {
					return peer.OK
				}
				return inner(l)
			}
		})},
		{"WrongGenesisIsRefused", "the values are not named", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				var r *peer.RefusedError
				if errors.As(inner(ctx, a), &r) {
					return peer.Refuse(r.Reason)
				}
				return nil
			}
		}},
		{"WrongNetworkIsRefused", "the listener is not told", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if _, ok := r.(wire.Refused); !ok {
					h.Host.Report(r)
				}
			}
		})},
		{"WrongIdentityIsRefused", "another identity is a failed dial", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				err := inner(ctx, a)
				if errors.Is(err, peer.Refuse(peer.WrongIdentity)) {
					return peer.Refuse(peer.DialFailed)
				}
				return err
			}
		}},
		{"SelfIsRefused", "self is a success", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				if err := inner(ctx, a); !errors.Is(err, peer.Refuse(peer.Self)) {
					return err
				}
				return nil
			}
		}},
		{"NobodyThere", "a dial that takes its time", func(m *mutant) {
			m.dial = func(ctx context.Context, a peer.Addr, inner func(context.Context, peer.Addr) error) error {
				err := inner(ctx, a)
				time.Sleep(20 * time.Second)
				return err
			}
		}},
	}
}

// broken makes worlds whose wires are mutants.
func broken(b breakage, upgraded bool) wiretest.Factory {
	return func(t *testing.T, run func(wiretest.World)) {
		inBed(upgraded)(t, func(w wiretest.World) {
			inner := w.New
			w.New = func(o wiretest.Options) (wire.Wire, error) {
				n, err := inner(o)
				if err != nil {
					return nil, err
				}
				m := &mutant{Wire: n.(*native.Wire)}
				b.mutate(m)
				return m, nil
			}
			run(w)
			time.Sleep(2 * time.Minute) // what a mutant started ends
		})
	}
}

func TestSuiteFindsMutants(t *testing.T) {
	covered := map[string]bool{}
	for _, b := range append(breakages(), moreBreakages()...) {
		covered[b.check] = true
		t.Run(b.check+"/"+b.name, func(t *testing.T) {
			for _, c := range wiretest.Checks() {
				if c.Name != b.check {
					continue
				}
				if err := c.Try(t, broken(b, wiretest.NeedsRaw(c.Name))); err == nil {
					t.Error("the suite found nothing wrong")
				} else {
					t.Logf("found: %v", err)
				}
				return
			}
			t.Errorf("there is no check %q", b.check)
		})
	}
	for _, c := range wiretest.Checks() {
		if !covered[c.Name] {
			t.Errorf("check %s has no mutant", c.Name)
		}
	}
}
