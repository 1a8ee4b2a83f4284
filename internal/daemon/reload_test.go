package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

// fickle is a node that takes no address for a while.
type fickle struct {
	broken error
	did    []string
}

func (f *fickle) do(what, addr string) error {
	if f.broken == nil {
		f.did = append(f.did, what+" "+addr)
	}
	return f.broken
}

func (f *fickle) AddStatic(_ context.Context, a string) error     { return f.do("+static", a) }
func (f *fickle) RemoveStatic(_ context.Context, a string) error  { return f.do("-static", a) }
func (f *fickle) AddTrusted(_ context.Context, a string) error    { return f.do("+trusted", a) }
func (f *fickle) RemoveTrusted(_ context.Context, a string) error { return f.do("-trusted", a) }
func (f *fickle) AddSeed(_ context.Context, a string) error       { return f.do("+seed", a) }
func (f *fickle) RemoveSeed(_ context.Context, a string) error    { return f.do("-seed", a) }

// An address that the node did not take is tried again at the next signal, and
// one that it has taken is not.
func TestAnAddressThatFailsIsTriedAgain(t *testing.T) {
	node := &fickle{broken: errors.New("no room")}
	now := Network{Static: []string{"a"}, Seeds: []string{"b"}}
	r := &reloader{
		load: func() (Config, error) { return Config{Networks: []Network{now}}, nil }, say: func(Config) error { return nil },
		node: node, have: Config{Networks: []Network{{Trusted: []string{"c"}}}}, log: slog.New(slog.DiscardHandler),
	}
	for i, want := range [][]string{nil, {"+static a", "+seed b"}, nil, {"-static a"}} {
		if i == 1 {
			node.broken = nil
		}
		if i == 3 {
			now.Static = nil
		}
		node.did = nil
		if err := r.once(t.Context()); err != nil || !slices.Equal(node.did, want) {
			t.Errorf("signal %d: %q, %v, want %q", i, node.did, err, want)
		}
	}
}
