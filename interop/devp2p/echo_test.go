package devp2p

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	wiredevp2p "github.com/starlingp2p/starling/wire/devp2p"
)

// TestProtocolsOfAnEmbedderAgainstGeth: two protocols of an embedder's, whose names
// come before and after eth's so that their messages shift its codes, are spoken with
// a geth that has both too, while the chain is downloaded beside them; a third that
// geth lacks is not run.
func TestProtocolsOfAnEmbedderAgainstGeth(t *testing.T) {
	const blocks, times = 64, 40
	lengths := map[string]uint64{"abc": 5, "xyz": 3}
	var echoes []map[string]any
	for name, length := range lengths {
		echoes = append(echoes, map[string]any{"name": name, "version": 2, "length": length})
	}
	g := startGethAt(t, 70, blocks, ip(), map[string]any{"echo": echoes})
	done := make(chan error, len(lengths))
	ask := func(ctx context.Context, s *wiredevp2p.Stream, name string) error {
		for k := range times {
			payload := []byte(fmt.Sprintf("%s %d %s", name, k, strings.Repeat("!", k*k)))
			if err := s.Write(ctx, 0, payload); err != nil {
				return err
			}
			got, err := s.Read(ctx)
			if err != nil {
				return err
			}
			if got.Code != lengths[name]-1 || !bytes.Equal(got.Payload, payload) {
				return fmt.Errorf("%s: code %d with %d bytes, want %d bytes", name, got.Code, len(got.Payload), len(payload))
			}
		}
		return nil
	}
	n := startStarling(t, g.Genesis, func(c *wiredevp2p.Config) {
		for name, length := range lengths {
			c.Protocols = append(c.Protocols, wiredevp2p.Protocol{Name: name, Version: 2, Length: length, Run: func(ctx context.Context, s *wiredevp2p.Stream) error {
				done <- ask(ctx, s, name)
				<-ctx.Done() // or the session would end
				return nil
			}})
		}
		c.Protocols = append(c.Protocols, wiredevp2p.Protocol{Name: "alone", Version: 1, Length: 1, Run: func(context.Context, *wiredevp2p.Stream) error {
			t.Error("a protocol that geth lacks was run")
			return nil
		}})
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Client().Connect(ctx, g.Enode); err != nil {
		t.Fatal(err)
	}
	target, _ := g.block(t, blocks)
	if err := n.Client().SetTarget(ctx, target); err != nil {
		t.Fatal(err)
	}
	for range lengths {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-ctx.Done():
			t.Fatal("geth did not answer")
		}
	}
	n.head(t, target)
	var infos []struct{ Caps []string }
	g.Do(map[string]any{"do": "peers"}, &infos)
	if len(infos) != 1 || !strings.Contains(strings.Join(infos[0].Caps, " "), "abc/2") || !strings.Contains(strings.Join(infos[0].Caps, " "), "xyz/2") {
		t.Errorf("geth sees %+v", infos)
	}
}
