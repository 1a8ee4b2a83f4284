// Command subprotocol runs a protocol of its own beside eth on the sessions of
// two nodes of a private network: it is a name, a version, a number of messages
// and what it says with one peer. A geth that has the protocol too would take
// part.
//
//	go run ./examples/subprotocol
package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/examples/counterchain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// The protocol's messages.
const (
	ask = iota
	answer
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "subprotocol:", err)
		os.Exit(1)
	}
}

// notes is the protocol. Where asks is set, it asks; else it answers.
type notes struct {
	asks bool
	got  chan string
}

// protocol is how the wire knows it.
func (n *notes) protocol() devp2p.Protocol {
	return devp2p.Protocol{
		Name: "note", Version: 1, Length: 2, Run: n.run,
		NodeInfo: func() any { return map[string]any{"asks": n.asks} }, // as admin_nodeInfo shows it
		PeerInfo: func(peer.ID) any { return map[string]any{"notes": "one"} },
	}
}

// run speaks with one peer until the session ends; when it returns, that ends.
func (n *notes) run(ctx context.Context, s *devp2p.Stream) error {
	if n.asks {
		if err := s.Write(ctx, ask, []byte("who are you?")); err != nil {
			return err
		}
	}
	for {
		p, err := s.Read(ctx)
		if err != nil {
			return err
		}
		if p.Code == ask {
			if err := s.Write(ctx, answer, []byte("a node with notes")); err != nil {
				return err
			}
			continue
		}
		select {
		case n.got <- string(p.Payload):
		default: // nobody waits for more than one
		}
	}
}

// run starts two nodes, lets one ask the other and prints what comes.
func run(ctx context.Context, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	asking, answering := &notes{asks: true, got: make(chan string, 1)}, &notes{}
	var wires [2]*devp2p.Wire
	var clients [2]*starling.Client
	for i, n := range []*notes{answering, asking} {
		chain := counterchain.New(make(ed25519.PublicKey, ed25519.PublicKeySize)) // it stays at its genesis
		w, err := devp2p.New(devp2p.Config{
			NetworkID: 1337, Status: chain.Status, Listen: "127.0.0.1:0", Versions: []eth.Version{eth.V69},
			Forks: eth.NewForks(chain.Status().Genesis, 0, nil, nil), Protocols: []devp2p.Protocol{n.protocol()},
		})
		if err != nil {
			return err
		}
		node, err := starling.New(starling.DevConfig(), chain, w)
		if err != nil {
			return err
		}
		done := make(chan error, 1)
		wg.Go(func() { done <- node.Run(ctx) })
		select {
		case <-node.Ready():
		case err := <-done:
			return err
		}
		wires[i], clients[i] = w, node.Client()
	}
	if err := clients[1].Connect(ctx, wires[0].Addrs()[0].Text); err != nil {
		return err
	}
	for _, p := range clients[1].Peers() {
		fmt.Fprintln(out, "the session speaks", p.Info.Protocols)
		fmt.Fprintln(out, "of the peer the protocol shows", wires[1].PeerProtocols(p.Info.ID)["note"])
	}
	fmt.Fprintln(out, "of the node it shows", wires[1].NodeProtocols()["note"])
	select {
	case text := <-asking.got:
		fmt.Fprintln(out, "the peer says:", text)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
