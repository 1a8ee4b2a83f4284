package wiretest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func moreBreakages() []breakage {
	return []breakage{
		{"RequestsAreAnswered", "an answer that lacks its last item", onHost(func(h *hostMutant) {
			h.serve = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
				resp, err := h.Host.Serve(ctx, s, r)
				if x, ok := resp.(wire.Headers); ok {
					resp = wire.Headers{Headers: x.Headers[:len(x.Headers)-1]}
				}
				return resp, err
			}
		})},
		{"RequestsAreAnswered", "a kind that Caps claims and nobody serves", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				if _, ok := r.(wire.GetTxs); ok {
					return nil, wire.ErrUnsupported
				}
				return s.Session.Request(ctx, r)
			}
		})},
		{"UnsupportedIsSaid", "an error of its own for what it lacks", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				resp, err := s.Session.Request(ctx, r)
				if errors.Is(err, wire.ErrUnsupported) {
					err = errors.New("cannot")
				}
				return resp, err
			}
		})},
		{"UnsupportedIsSaid", "unsupported messages vanish", onSession(func(s *sessionMutant) {
			s.send = func(context.Context, wire.Lane, wire.Message) error { return nil }
		})},
		{"RefusalsTravel", "the limit's name is lost", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				resp, err := s.Session.Request(ctx, r)
				var f *wire.Refusal
				if errors.As(err, &f) {
					err = &wire.Refusal{Code: f.Code}
				}
				return resp, err
			}
		})},
		{"RefusalsTravel", "a refusal is an empty answer", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				resp, err := s.Session.Request(ctx, r)
				var f *wire.Refusal
				if errors.As(err, &f) {
					return wire.Headers{}, nil
				}
				return resp, err
			}
		})},
		{"RequestsCanBeCancelled", "Request does not hear its context", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				return s.Session.Request(context.WithoutCancel(ctx), r)
			}
		})},
		{"RequestsCanBeCancelled", "a cancelled request ends the session", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				resp, err := s.Session.Request(ctx, r)
				if ctx.Err() != nil {
					s.Session.Close(peer.Slow)
				}
				return resp, err
			}
		})},
		{"RequestsEndWithTheSession", "Request outlives its session", onSession(func(s *sessionMutant) {
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				resp, err := s.Session.Request(ctx, r)
				time.Sleep(5 * time.Second)
				return resp, err
			}
		})},
		{"RequestsInFlightAreBounded", "more in flight than it says", func(m *mutant) {
			m.caps = func(c wire.Caps) wire.Caps { c.MaxInFlight = 8; return c }
		}},
		{"RequestsInFlightAreBounded", "what is over the bound fails", onSession(func(s *sessionMutant) {
			var n atomic.Int64
			s.request = func(ctx context.Context, r wire.Request) (wire.Response, error) {
				defer n.Add(-1)
				if n.Add(1) > 16 {
					return nil, wire.ErrQueueFull
				}
				return s.Session.Request(ctx, r)
			}
		})},
		{"AcceptedIsRelayed", "what is accepted goes no further", onHost(func(h *hostMutant) {
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				h.Host.Check(ctx, s, m)
				return chain.Ignored("lazy")
			}
		})},
		{"AcceptedIsRelayed", "a message is checked twice", onHost(func(h *hostMutant) {
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				h.Host.Check(ctx, s, m)
				return h.Host.Check(ctx, s, m)
			}
		})},
		{"AcceptedIsRelayed", "the receipt is empty", func(m *mutant) {
			m.publish = func(ctx context.Context, msg wire.Message, inner func(context.Context, wire.Message) (wire.Receipt, error)) (wire.Receipt, error) {
				_, err := inner(ctx, msg)
				return wire.Receipt{}, err
			}
		}},
		{"RejectedIsNotRelayed", "all is relayed", onHost(func(h *hostMutant) {
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				h.Host.Check(ctx, s, m)
				return chain.Accepted()
			}
		})},
		{"PublishingToNobody", "nobody's absence is a success", func(m *mutant) {
			m.publish = func(ctx context.Context, msg wire.Message, inner func(context.Context, wire.Message) (wire.Receipt, error)) (wire.Receipt, error) {
				r, err := inner(ctx, msg)
				if errors.Is(err, wire.ErrUnheard) {
					err = nil
				}
				return r, err
			}
		}},
		{"PublishingToNobody", "an unheard message counts as sent", func(m *mutant) {
			tried := false
			m.publish = func(ctx context.Context, msg wire.Message, inner func(context.Context, wire.Message) (wire.Receipt, error)) (wire.Receipt, error) {
				if tried {
					return wire.Receipt{}, nil
				}
				tried = true
				return inner(ctx, msg)
			}
		}},
		{"TooLargeIsSaid", "what is too large fails somehow", func(m *mutant) {
			m.publish = func(ctx context.Context, msg wire.Message, inner func(context.Context, wire.Message) (wire.Receipt, error)) (wire.Receipt, error) {
				r, err := inner(ctx, msg)
				if errors.Is(err, wire.ErrTooLarge) {
					err = errors.New("no")
				}
				return r, err
			}
		}},
		{"ConsensusArrivesInOrder", "consensus is lost", onSession(func(s *sessionMutant) {
			n := 0
			s.send = func(ctx context.Context, l wire.Lane, m wire.Message) error {
				if n++; n%7 == 0 {
					return nil
				}
				return s.Session.Send(ctx, l, m)
			}
		})},
		{"ConsensusArrivesInOrder", "consensus is out of order", onSession(func(s *sessionMutant) {
			var held wire.Message
			s.send = func(ctx context.Context, l wire.Lane, m wire.Message) error {
				if held == nil {
					held = m
					return nil
				}
				err := errors.Join(s.Session.Send(ctx, l, m), s.Session.Send(ctx, l, held))
				held = nil
				return err
			}
		})},
		{"TopicsCanBeJoined", "nobody is told who joins", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if c, ok := r.(wire.TopicChanged); ok && !strings.Contains(c.Topic, "/") {
					return
				}
				h.Host.Report(r)
			}
		})},
		{"TopicsCanBeJoined", "a topic cannot be left", func(m *mutant) {
			m.leave = func(context.Context, string) error { return nil }
		}},
		{"StalledServe", "one lock for all the Host's work", onHost(func(h *hostMutant) {
			work := make(chan struct{}, 1) // a lock that a bubble can wait for
			h.serve = func(ctx context.Context, s wire.Session, r wire.Request) (wire.Response, error) {
				work <- struct{}{}
				defer func() { <-work }()
				return h.Host.Serve(ctx, s, r)
			}
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				work <- struct{}{}
				defer func() { <-work }()
				return h.Host.Check(ctx, s, m)
			}
		})},
		{"StalledCheck", "consensus waits behind blocks", onHost(func(h *hostMutant) {
			work := make(chan struct{}, 1)
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				work <- struct{}{}
				defer func() { <-work }()
				return h.Host.Check(ctx, s, m)
			}
		})},
		{"StalledConsensus", "Send waits for ever", onSession(func(s *sessionMutant) {
			s.send = func(ctx context.Context, l wire.Lane, m wire.Message) error {
				for {
					err := s.Session.Send(ctx, l, m)
					if !errors.Is(err, wire.ErrQueueFull) || ctx.Err() != nil {
						return err
					}
				}
			}
		})},
		{"RandomBytes", "failed handshakes are not reported", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if _, ok := r.(wire.Refused); !ok {
					h.Host.Report(r)
				}
			}
		})},
		{"HalfOpen", "a silent link is a session", onHost(func(h *hostMutant) {
			var once sync.Once
			h.admit = func(l wire.Link, inner func(wire.Link) peer.Reason) peer.Reason {
				if l.Direction == peer.Inbound {
					once.Do(func() { h.Host.Open(context.Background(), &sessionMutant{}, chain.Status{}) })
				}
				return inner(l)
			}
		})},
		{"OnePeerDoesNotFillTheQueue", "one check at a time", onHost(func(h *hostMutant) {
			one := make(chan struct{}, 1)
			h.check = func(ctx context.Context, s wire.Session, m wire.Message) chain.Verdict {
				select {
				case one <- struct{}{}:
					defer func() { <-one }()
				case <-ctx.Done():
					return chain.Ignored("busy")
				}
				return h.Host.Check(ctx, s, m)
			}
		})},
		{"StopTellsPeers", "peers are not told", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if c, ok := r.(wire.Closed); ok && c.ByRemote {
					c.Reason = peer.LinkLost
					r = c
				}
				h.Host.Report(r)
			}
		})},
		{"StopTellsPeers", "Closed comes after Run", onHost(func(h *hostMutant) {
			h.report = func(r wire.Report) {
				if _, ok := r.(wire.Closed); ok {
					go func() {
						time.Sleep(3 * time.Second)
						h.Host.Report(r)
					}()
					return
				}
				h.Host.Report(r)
			}
		})},
		{"StopUnderLoad", "Run takes its time", func(m *mutant) {
			m.run = func(ctx context.Context, h wire.Host, inner func(context.Context, wire.Host) error) error {
				err := inner(ctx, h)
				time.Sleep(5500 * time.Millisecond)
				return err
			}
		}},
	}
}
