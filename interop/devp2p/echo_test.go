package devp2p

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/examples/subprotocol/notes"
	"github.com/starlingp2p/starling/peer"
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

// TestTheExamplesProtocolAgainstGeth: the protocol of examples/subprotocol, asked of
// a geth that answers with what it was asked, and shown as admin_nodeInfo and
// admin_peers have it, of both sides.
func TestTheExamplesProtocolAgainstGeth(t *testing.T) {
	g := startGethAt(t, 70, 1, ip(), map[string]any{"echo": []map[string]any{{"name": notes.Name, "version": notes.Version, "length": 2}}})
	ours := notes.New("a node with notes", true)
	n := startStarling(t, g.Genesis, func(c *wiredevp2p.Config) { c.Protocols = append(c.Protocols, ours.Protocol()) })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.Client().Connect(ctx, g.Enode); err != nil {
		t.Fatal(err)
	}
	select {
	case note := <-ours.Got():
		if note != "who are you?" {
			t.Errorf("geth answers %q", note)
		}
	case <-ctx.Done():
		t.Fatal("geth did not answer")
	}
	var infos []struct{ Caps []string }
	g.Do(map[string]any{"do": "peers"}, &infos)
	if len(infos) != 1 || !slices.Contains(infos[0].Caps, "note/1") {
		t.Errorf("geth sees %+v", infos)
	}
	var id peer.ID
	for _, p := range n.Client().Peers() {
		id = p.Info.ID
		if !slices.Contains(p.Info.Protocols, "note/1") {
			t.Errorf("the session speaks %v", p.Info.Protocols)
		}
	}
	if shown, want := fmt.Sprint(n.wire.NodeProtocols()[notes.Name], n.wire.PeerProtocols(id)[notes.Name]), "map[asks:true] map[notes:one]"; shown != want {
		t.Errorf("shown is %s, want %s", shown, want)
	}
}
