package ontology

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// besiege opens three sessions with a node of ours, from addresses of their
// own, until the test ends: one that stalls in a frame and reads nothing, one
// that floods, and one that lies. Where they are dropped they come back. It
// never talks to a real node.
func besiege(t *testing.T, at string) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	frame := func(c codec.Command, payload []byte) []byte {
		b, err := codec.AppendFrame(nil, magic, c, payload)
		if err != nil {
			t.Error(err)
		}
		return b
	}
	block := codec.Block{Header: codec.Header{Height: 7, Time: 1}.Seal(), Body: []byte{0, 0, 0, 0}}.Append(nil)
	stall := func(c net.Conn) error {
		c.Write(frame(codec.CmdBlock, make([]byte, 1<<20))[:500<<10])
		for { // a byte now and then
			if _, err := c.Write([]byte{0}); err != nil {
				return err
			}
			if !rests(ctx, 4*time.Second) {
				return nil
			}
		}
	}
	flood := func(c net.Conn) error {
		go io.Copy(io.Discard, c)
		for i := byte(0); ; i++ {
			inv := codec.Inv{Kind: codec.KindBlock, Hashes: []codec.Hash{{i, 1}, {i, 2}, {i, 3}}}
			var b []byte
			for range 100 {
				b = append(b, frame(codec.CmdPing, codec.Ping{Height: 3}.Append(nil))...)
				b = append(b, frame(codec.CmdGetHeaders, codec.GetHeaders{}.Append(nil))...)
				b = append(b, frame(codec.CmdInv, inv.Append(nil))...)
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
			if !rests(ctx, 10*time.Millisecond) {
				return nil
			}
		}
	}
	lie := func(c net.Conn) error {
		go io.Copy(io.Discard, c)
		for {
			for _, b := range [][]byte{
				frame(codec.CmdPong, codec.Pong{Height: 1 << 40}.Append(nil)),
				frame(codec.CmdHeaders, []byte{0, 0, 0, 0}),
				frame(codec.CmdBlock, block),
				frame(codec.CmdConsensus, codec.Consensus{Data: []byte{0x20}, Owner: make([]byte, 33), Sig: make([]byte, 64)}.Append(nil)),
			} {
				if _, err := c.Write(b); err != nil {
					return err
				}
			}
			if !rests(ctx, 500*time.Millisecond) {
				return nil
			}
		}
	}
	for i, act := range []func(net.Conn) error{stall, flood, lie} {
		wg.Go(func() {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 9, byte(i+1))}}
			for rests(ctx, time.Second) {
				c, err := d.DialContext(ctx, "tcp", at)
				if err != nil {
					continue
				}
				stop := context.AfterFunc(ctx, func() { c.Close() })
				c.Write(frame(codec.CmdVersion, codec.Version{Nonce: uint64(i + 1), Height: 1 << 30, Relay: true}.Append(nil)))
				c.Write(frame(codec.CmdVerAck, []byte{0}))
				act(c)
				stop()
				c.Close()
			}
		})
	}
}

// rests waits; false: the test is over.
func rests(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
