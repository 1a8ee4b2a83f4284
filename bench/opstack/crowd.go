package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

const (
	neighbours = 60                     // requests that the other peer has out
	askEvery   = 250 * time.Millisecond // op-node's own pace
)

// asker is the plainest client of payload_by_number.
type asker struct {
	host.Host
	to    peer.ID
	proto protocol.ID
}

// newAsker connects one to an address.
func newAsker(ctx context.Context, addr string) (*asker, error) {
	key, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs)
	if err != nil {
		return nil, err
	}
	a := &asker{Host: h, proto: protocol.ID(codec.Protocols(chainID)[0])}
	h.SetStreamHandler(a.proto, func(s network.Stream) { s.Reset() }) // it says that it is of the chain
	info, err := peer.AddrInfoFromString(addr)
	if err == nil {
		a.to = info.ID
		err = h.Connect(ctx, *info)
	}
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return a, nil
}

// ask asks for one block, and gives the result.
func (a *asker) ask(ctx context.Context, number uint64) (codec.Result, error) {
	s, err := a.NewStream(ctx, a.to, a.proto)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	if _, err := s.Write(codec.AppendRequest(nil, number)); err != nil {
		return 0, err
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	raw, err := io.ReadAll(s)
	if err != nil || len(raw) == 0 {
		return 0, errors.Join(err, errors.New("bench: an empty answer"))
	}
	return codec.Result(raw[0]), nil
}

// crowd keeps so many requests out until ctx ends. Where it is refused it asks
// again a little later, and where it is thrown out it comes under a new name.
func crowd(ctx context.Context, addr string) {
	for ctx.Err() == nil {
		a, err := newAsker(ctx, addr)
		if err != nil {
			wait(ctx, 100*time.Millisecond)
			continue
		}
		var all sync.WaitGroup
		for range neighbours {
			all.Go(func() {
				for ctx.Err() == nil {
					res, err := a.ask(ctx, 1)
					if err != nil {
						return
					}
					if res != codec.ResultOK {
						wait(ctx, time.Second)
					}
				}
			})
		}
		all.Wait()
		a.Close()
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// delays gives the 95th of a hundred delays of a peer that asks at op-node's
// pace, alone or beside a crowd.
func delays(ctx context.Context, addr string, requests int, beside bool) (p95 time.Duration, err error) {
	a, err := newAsker(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	if _, err := a.ask(ctx, 1); err != nil { // which waits for the session
		return 0, err
	}
	crowded, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	if beside {
		all.Go(func() { crowd(crowded, addr) })
		wait(ctx, time.Second)
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	var took []time.Duration
	for range requests {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		start := time.Now()
		res, err := a.ask(ctx, 1)
		if err != nil {
			return 0, err
		}
		if res != codec.ResultOK && !beside { // op-node gives up after 20 s, which counts
			return 0, fmt.Errorf("bench: a peer alone is refused with %d", res)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[(len(took)*95+99)/100-1], nil
}
