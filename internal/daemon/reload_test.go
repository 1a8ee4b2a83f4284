package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
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

// What was taken over is what others see, with where it comes from; the rest of
// the file is not.
func TestWhatWasTakenOverIsSeen(t *testing.T) {
	began := Config{LogLevel: "info", Networks: []Network{{Name: "harbour", MaxPeers: 7, Seeds: []string{"a"}}}, origins: map[string]Origin{
		"network.name": "file x:2", "network.max_peers": "file x:3", "network.seeds": "file x:4",
	}}
	next := Config{LogLevel: "warn", Networks: []Network{{Name: "other", MaxPeers: 9, Static: []string{"b"}}}, origins: map[string]Origin{
		"log_level": "file x:1", "network.name": "file x:2", "network.max_peers": "file x:3", "network.static": "file x:9",
	}}
	r := &reloader{
		load: func() (Config, error) { return next, nil }, say: func(Config) error { return nil },
		node: new(fickle), have: began, log: slog.New(slog.DiscardHandler),
	}
	n := &Node{cfg: began, reloads: r}
	see := func(key string) string {
		for _, v := range n.config().Values {
			if v.Key == key {
				return v.Value + " " + v.Origin
			}
		}
		return ""
	}
	if got := see("network.seeds"); got != "a file x:4" {
		t.Errorf("before a reload the seeds are %q", got)
	}
	if err := r.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"log_level": "warn file x:1", "network.static": "b file x:9",
		"network.name": "harbour file x:2", "network.max_peers": "7 file x:3",
	} {
		if got := see(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := see("network.seeds"); !strings.HasSuffix(got, " default") {
		t.Errorf("the seeds were taken out of the file, and are %q", got)
	}
	if len(began.origins) != 3 {
		t.Errorf("the config that it was started with was changed: %v", began.origins)
	}
}
