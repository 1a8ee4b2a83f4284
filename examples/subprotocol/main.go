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
	"github.com/starlingp2p/starling/examples/subprotocol/notes"
	"github.com/starlingp2p/starling/wire/devp2p"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "subprotocol:", err)
		os.Exit(1)
	}
}

// run starts two nodes, lets one ask the other and prints what comes.
func run(ctx context.Context, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	asking, answering := notes.New("a node that asks", true), notes.New("a node with notes", false)
	var wires [2]*devp2p.Wire
	var clients [2]*starling.Client
	for i, n := range []*notes.Notes{answering, asking} {
		chain := counterchain.New(make(ed25519.PublicKey, ed25519.PublicKeySize)) // it stays at its genesis
		w, err := devp2p.New(devp2p.Config{
			NetworkID: 1337, Status: chain.Status, Listen: "127.0.0.1:0", Versions: []eth.Version{eth.V69},
			Forks: eth.NewForks(chain.Status().Genesis, 0, nil, nil), Protocols: []devp2p.Protocol{n.Protocol()},
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
		fmt.Fprintln(out, "of the peer the protocol shows", wires[1].PeerProtocols(p.Info.ID)[notes.Name])
	}
	fmt.Fprintln(out, "of the node it shows", wires[1].NodeProtocols()[notes.Name])
	select {
	case text := <-asking.Got():
		fmt.Fprintln(out, "the peer says:", text)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
