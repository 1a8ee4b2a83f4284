package rlpx

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	gethrlpx "github.com/ethereum/go-ethereum/p2p/rlpx"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// benchSizes are those of the comparison with bare p2p/rlpx.
var benchSizes = []int{1 << 10, 1 << 20}

// BenchmarkOurs sends messages over loopback through two framed links.
func BenchmarkOurs(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			from, to := pair(b)
			from.codec.Establish(MaxMessage, true)
			to.codec.Establish(MaxMessage, true)
			data := make([]byte, size)
			rand.Read(data)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			got, done := 0, make(chan struct{})
			receiver := framed.NewLink(to.Conn, framed.Config{Handle: func(f framed.Frame) error {
				f.Release()
				if got++; got == b.N {
					close(done)
				}
				return nil
			}})
			sender := framed.NewLink(from.Conn, framed.Config{Handle: func(framed.Frame) error { return nil }})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { receiver.Run(ctx) })
			wg.Go(func() { sender.Run(ctx) })
			b.ResetTimer()
			for range b.N {
				if err := sender.Send(ctx, wire.LaneSync, framed.Out{Code: 16, Payload: data}); err != nil {
					b.Fatal(err)
				}
			}
			<-done
			b.StopTimer()
			cancel()
			wg.Wait()
		})
	}
}

// BenchmarkGeth does the same through p2p/rlpx.
func BenchmarkGeth(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			x, y := tcp(b)
			ka, kb := newKey(b), newKey(b)
			from, to := gethrlpx.NewConn(x, &kb.PublicKey), gethrlpx.NewConn(y, nil)
			done := make(chan error, 1)
			go func() { _, err := to.Handshake(kb); done <- err }()
			if _, err := from.Handshake(ka); err != nil {
				b.Fatal(err)
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			from.SetSnappy(true)
			to.SetSnappy(true)
			data := make([]byte, size)
			rand.Read(data)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			sent := make(chan error, 1)
			b.ResetTimer()
			go func() {
				for range b.N {
					if _, err := from.Write(16, data); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			for range b.N {
				if _, _, _, err := to.Read(); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-sent; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkHandshake is both sides of one.
func BenchmarkHandshake(b *testing.B) {
	key, other := newKey(b), newKey(b)
	packet := handshakePacket(b, other, key)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Respond(&script{in: packet}, key); err != nil {
			b.Fatal(err)
		}
	}
}
