package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/internal/metrics"
	"github.com/starlingp2p/starling/internal/secret"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/opstack"
)

// checkEngine looks at which execution client is to follow.
func (o *OPStack) checkEngine(p *problems) {
	switch u, err := url.Parse(o.Engine); {
	case o.Engine == "" && o.EngineJWT != "":
		p.bad("network.opstack.engine_jwt is set, but engine is not; name the Engine API of an execution client, or leave it out")
	case o.Engine == "":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.bad("network.opstack.engine is no URL; write it as http://127.0.0.1:8551")
	case o.EngineJWT == "":
		p.bad("network.opstack.engine is set, but engine_jwt is not; name the file that the client's --authrpc.jwtsecret names")
	}
}

// feeder makes the service that has an execution client follow; nil: none is to.
func (o *OPStack) feeder(l *ledger.Ledger, dir *Datadir, log *slog.Logger) (*engineFeed, error) {
	if o.Engine == "" {
		return nil, nil
	}
	shared, err := loadJWT(dir.resolve(o.EngineJWT))
	if err != nil {
		return nil, fmt.Errorf("network.opstack.engine_jwt: %w", err)
	}
	e, err := family.NewEngine(o.Engine, shared, nil)
	if err != nil {
		return nil, fmt.Errorf("network.opstack.engine: %w", withoutPackage(err))
	}
	f, err := family.NewFeeder(family.FeederConfig{Engine: e, Chain: l, Logger: log.With("part", "engine")})
	if err != nil {
		return nil, err
	}
	return &engineFeed{feeder: f, engine: e}, nil
}

// loadJWT reads a secret that is shared with another program.
func loadJWT(path string) (jwt.Secret, error) {
	text, err := secret.Read(path, maxSeedFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name the file that the client's --authrpc.jwtsecret names", err)
	}
	if err != nil {
		return jwt.Secret{}, err
	}
	s, err := jwt.ParseSecret(string(text))
	if err != nil {
		return s, fmt.Errorf("%s: %w", path, withoutPackage(err))
	}
	return s, nil
}

// engineFeed is the service that has an execution client follow the unsafe
// head of an OP Stack chain. A nil one does nothing.
type engineFeed struct {
	feeder *family.Feeder
	engine *family.Engine
	client *starling.Client
}

func (e *engineFeed) Kind() string    { return "engine" }
func (e *engineFeed) Needs() []string { return nil }

func (e *engineFeed) Build(b *starling.Builder) (starling.Part, error) {
	e.client = b.Client()
	return e, nil
}

// Run feeds the client until ctx ends, and wakes it when the ledger's head
// moves. An event that is lost does no harm: one that waits wakes it as well.
func (e *engineFeed) Run(ctx context.Context, ready func()) error {
	defer e.engine.Close()
	heads := e.client.Subscribe(ctx, 64)
	ready()
	done := make(chan error, 1)
	go func() { done <- e.feeder.Run(ctx) }()
	for {
		select {
		case ev, ok := <-heads.C():
			if !ok {
				return ended(ctx, <-done)
			}
			if _, ok := ev.(starling.HeadChanged); ok {
				e.feeder.Wake()
			}
		case err := <-done:
			return ended(ctx, err)
		}
	}
}

// tap has the feeder see each block that gossip accepts.
func (e *engineFeed) tap(l *ledger.Ledger) chain.Chain {
	if e == nil {
		return l
	}
	return &tapped{l, e.feeder.Offer}
}

// tapped is a ledger that tells of the blocks that it accepts.
type tapped struct {
	*ledger.Ledger
	accepted func(chain.Block)
}

// Check implements chain.Checker.
func (t *tapped) Check(b chain.Block) chain.Verdict {
	v := t.Ledger.Check(b)
	if v.Action == chain.Accept {
		t.accepted(b)
	}
	return v
}

// findings are what "why" says of the client.
func (e *engineFeed) findings() []why.Finding {
	if e == nil {
		return nil
	}
	st := e.feeder.State()
	switch {
	case st.Code == family.FeedFilling:
		return []why.Finding{{
			Code: "engine:" + st.Code, Level: why.Notice, Since: st.Since,
			Cause:    fmt.Sprintf("the execution client at %s is given blocks %d to %d, which it lacks", e.engine.Host(), st.Fill.From, st.Fill.To),
			Remedy:   "wait; it follows the head once it has them",
			Evidence: []string{fmt.Sprintf("it is at block %d, takes %.1f blocks/s, and has %v to go", st.Fill.At, st.Fill.Rate, st.Fill.Left().Round(time.Second))},
		}}
	case !st.Trouble():
		return nil
	}
	return []why.Finding{{
		Code: "engine:" + st.Code, Level: why.Trouble, Cause: st.Cause, Remedy: st.Remedy, Since: st.Since, Evidence: []string{st.Detail},
	}}
}

// reply is what the node's status says of the client; nil: there is none.
func (e *engineFeed) reply() *EngineReply {
	if e == nil {
		return nil
	}
	st := e.feeder.State()
	out := &EngineReply{State: st.Code, Head: nameOf(st.Head)}
	if st.Code == family.FeedFilling {
		out.Fill = &FillReply{From: st.Fill.From, At: st.Fill.At, To: st.Fill.To, Rate: st.Fill.Rate}
		if left := st.Fill.Left(); left > 0 {
			out.Fill.Left = left.Round(time.Second).String()
		}
	}
	return out
}

// counters are its metrics; nil: there is no client.
func (e *engineFeed) counters() *metrics.Engine {
	if e == nil {
		return nil
	}
	calls, coalesced := e.feeder.Counts()
	st := e.feeder.State()
	out := &metrics.Engine{
		State: st.Code, Head: st.Head.Number, FillAt: st.Fill.At, FillTo: st.Fill.To, FillRate: st.Fill.Rate,
		Coalesced: coalesced, Calls: make(map[metrics.EngineCall]uint64, len(calls)),
	}
	for k, n := range calls {
		out.Calls[metrics.EngineCall(k)] = n
	}
	return out
}
