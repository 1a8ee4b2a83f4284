package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const (
	listeners = 8 // sessions that are told
	// tellEvery, times what is told, is 8 s: who reads nothing is let go after 20.
	tellEvery = 20 * time.Millisecond
)

// delivery tells each of some sessions so many messages, and gives the
// 99th of a hundred delays from sending to arrival, while a stalled one, if
// wanted, reads nothing of the blocks that it has asked for.
func delivery(ctx context.Context, r *running, genesis codec.Hash, told int, stalled bool) (p99 time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var all []*bare
	defer func() {
		for _, b := range all {
			b.c.Close()
		}
	}()
	for i := range listeners {
		b, err := dialBare(ctx, r.addr, uint64(1000+i))
		if err != nil {
			return 0, err
		}
		all = append(all, b)
	}
	if stalled {
		b, err := stall(ctx, r.addr, genesis)
		if err != nil {
			return 0, err
		}
		all = append(all, b)
		select {
		case <-time.After(time.Second): // until nothing moves any more
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if err := r.Client().WaitForPeers(ctx, len(all)); err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var delays []time.Duration
	began := time.Now()
	heard := make(chan error, listeners)
	for _, b := range all[:listeners] {
		go func() {
			mine, err := b.listen(began, told)
			mu.Lock()
			delays = append(delays, mine...)
			mu.Unlock()
			heard <- err
		}()
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	sends := sync.WaitGroup{}
	for range told {
		m := codec.Consensus{Data: make([]byte, 300), Owner: make([]byte, 33), Sig: make([]byte, 64)}
		binary.LittleEndian.PutUint64(m.Data, uint64(time.Since(began)))
		sends.Go(func() { r.Client().SendConsensus(ctx, "", m.Append(nil)) }) // to the stalled one it fails
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	sends.Wait()
	for range listeners {
		err = errors.Join(err, <-heard)
	}
	slices.Sort(delays)
	if want := listeners * told; err == nil && len(delays) != want {
		err = fmt.Errorf("bench: %d messages came, want %d", len(delays), want)
	}
	if err != nil {
		return 0, err
	}
	return delays[len(delays)*99/100], nil
}

// stall opens a session that asks for 30,000 blocks and reads no more.
func stall(ctx context.Context, addr string, genesis codec.Hash) (*bare, error) {
	b, err := dialBare(ctx, addr, 999)
	if err != nil {
		return nil, err
	}
	b.post(codec.CmdGetHeaders, codec.GetHeaders{End: genesis}.Append(nil))
	for {
		c, body, err := b.next()
		if err != nil {
			return nil, err
		}
		if c != codec.CmdHeaders {
			continue
		}
		hs, err := codec.DecodeHeaders(body, codec.Lenient)
		if err != nil {
			return nil, err
		}
		for range 60 { // as many as fill the lane and the buffers of both systems
			for _, h := range hs.Headers {
				b.post(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: h.Hash}.Append(nil))
			}
		}
		go b.out.Flush() // it may block for as long as the node does not read
		return b, nil
	}
}

// listen gives the delays of all messages that are told.
func (b *bare) listen(began time.Time, told int) (delays []time.Duration, err error) {
	b.c.SetDeadline(began.Add(time.Minute))
	for len(delays) < told {
		c, body, err := b.next()
		if err != nil {
			return delays, err
		}
		switch c {
		case codec.CmdPing:
			b.post(codec.CmdPong, codec.Pong{}.Append(nil))
		case codec.CmdConsensus:
			m, err := codec.DecodeConsensus(body, codec.Lenient)
			if err != nil {
				return delays, err
			}
			delays = append(delays, time.Since(began)-time.Duration(binary.LittleEndian.Uint64(m.Data)))
		}
	}
	return delays, nil
}
