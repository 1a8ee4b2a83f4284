package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync/atomic"
)

// lists are those of a node's peers that can change; a starling.Client has them.
type lists interface {
	AddStatic(ctx context.Context, addr string) error
	RemoveStatic(ctx context.Context, addr string) error
	AddTrusted(ctx context.Context, addr string) error
	RemoveTrusted(ctx context.Context, addr string) error
	AddSeed(ctx context.Context, addr string) error
	RemoveSeed(ctx context.Context, addr string) error
}

// reloader takes over what can change while a node runs.
type reloader struct {
	load func() (Config, error)
	node lists
	have Config // what counts now; only once touches it
	log  *slog.Logger
	say  func(cfg Config) error // sets log levels
	now  atomic.Pointer[Config] // have as others may see it, never changed; nil: nothing was taken over yet
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
	r.have.Networks = []Network{was}
	r.have.LogLevel, r.have.LogLevels = next.LogLevel, next.LogLevels
	have := &r.have.Networks[0]
	added, removed := 0, 0
	var errs []error
	for _, l := range []struct {
		key         string
		was, now    []string
		have        *[]string
		add, remove func(context.Context, string) error
	}{
		{"static", was.Static, now.Static, &have.Static, r.node.AddStatic, r.node.RemoveStatic},
		{"trusted", was.Trusted, now.Trusted, &have.Trusted, r.node.AddTrusted, r.node.RemoveTrusted},
		{"seeds", was.Seeds, now.Seeds, &have.Seeds, r.node.AddSeed, r.node.RemoveSeed},
	} {
		var taken []string
		for _, a := range l.now {
			if !slices.Contains(l.was, a) {
				if err := l.add(ctx, a); err != nil {
					errs = append(errs, named(l.key, err))
					continue // the next signal tries again
				}
				added++
			}
			taken = append(taken, a)
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
		*l.have = taken
	}
	r.show(next)
	if err := errors.Join(errs...); err != nil {
		r.log.Warn("not every address was taken over", "err", err)
	}
	r.log.Info("the config was read again", "added", added, "removed", removed, "failed", len(errs), "rest", "other keys count at the next start")
	return nil
}

// show lets others see what counts now: of next, that is what was taken over.
func (r *reloader) show(next Config) {
	seen := r.have
	seen.Networks = slices.Clone(r.have.Networks)
	seen.origins = maps.Clone(r.have.origins)
	for _, f := range fields() {
		if !f.reloads() {
			continue
		}
		if delete(seen.origins, f.key); next.origins[f.key] != "" {
			seen.origins[f.key] = next.origins[f.key]
		}
	}
	r.have.origins = seen.origins
	r.now.Store(&seen)
}

// reloads reports whether a key is taken over while a node runs.
func (f field) reloads() bool {
	return slices.Contains([]string{"log_level", "log_levels", "network.static", "network.trusted", "network.seeds"}, f.key)
}

func named(key string, err error) error {
	return fmt.Errorf("network.%s: %w", key, withoutPackage(err))
}
