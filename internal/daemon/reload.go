package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/starlingp2p/starling"
)

// reloader takes over what can change while a node runs.
type reloader struct {
	load func() (Config, error)
	node *starling.Client
	have Config // what counts now
	log  *slog.Logger
	say  func(cfg Config) error // sets log levels
}

// run reads the config again at each signal, until ctx ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		if err := r.once(ctx); err != nil {
			r.log.Warn("the config was not taken over; nothing was changed", "err", err)
		}
	}
}

// once reads the config and changes the lists of peers and the log levels to
// what it says. A config that cannot be read changes nothing.
func (r *reloader) once(ctx context.Context) error {
	next, err := r.load()
	if err != nil {
		return err
	}
	if err := r.say(next); err != nil {
		return err
	}
	was, now := r.have.Networks[0], next.Networks[0]
	added, removed := 0, 0
	var errs []error
	for _, l := range []struct {
		key         string
		was, now    []string
		add, remove func(context.Context, string) error
	}{
		{"static", was.Static, now.Static, r.node.AddStatic, r.node.RemoveStatic},
		{"trusted", was.Trusted, now.Trusted, r.node.AddTrusted, r.node.RemoveTrusted},
		{"seeds", was.Seeds, now.Seeds, r.node.AddSeed, r.node.RemoveSeed},
	} {
		for _, a := range l.now {
			if !slices.Contains(l.was, a) {
				added++
				errs = append(errs, named(l.key, l.add(ctx, a)))
			}
		}
		for _, a := range l.was {
			if !slices.Contains(l.now, a) {
				removed++
				// Whoever took it off over the RPC meanwhile wanted the same.
				if err := l.remove(ctx, a); err != nil {
					r.log.Debug("an address was off its list already", "addr", a, "err", err)
				}
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		r.log.Warn("not every address was taken over", "err", err)
	}
	r.log.Info("the config was read again", "added", added, "removed", removed, "rest", "other keys count at the next start")
	r.have.Networks = []Network{was}
	n := &r.have.Networks[0]
	n.Static, n.Trusted, n.Seeds = now.Static, now.Trusted, now.Seeds
	return nil
}

func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("network.%s: %w", key, withoutPackage(err))
}
