package rlpx

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
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
			data := make([]byte, size)
			rand.Read(data)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			send := links(b)
			b.ResetTimer()
			send(b.N, data)
			b.StopTimer()
		})
	}
}

// links gives what sends a message so many times over loopback through two framed
// links, and blocks until all have come.
func links(t testing.TB) (send func(n int, data []byte)) {
	from, to := pair(t)
	from.codec.Establish(MaxMessage, true)
	to.codec.Establish(MaxMessage, true)
	var left atomic.Int64
	all := make(chan struct{}, 1)
	receiver := framed.NewLink(to.Conn, framed.Config{Handle: func(f framed.Frame) error {
		f.Release()
		if left.Add(-1) == 0 {
			all <- struct{}{}
		}
		return nil
	}})
	sender := framed.NewLink(from.Conn, framed.Config{Handle: func(framed.Frame) error { return nil }})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { receiver.Run(ctx) })
	wg.Go(func() { sender.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return func(n int, data []byte) {
		left.Store(int64(n))
		for range n {
			if err := sender.Send(ctx, wire.LaneSync, framed.Out{Code: 16, Payload: data}); err != nil {
				t.Fatal(err)
			}
		}
		<-all
	}
}

// A large message takes little more memory than what is handed on: buffers that
// were used are used again, whatever their size.
func TestLargeMessagesTakeLittleMemory(t *testing.T) {
	const n = 25
	send := links(t)
	for _, size := range []int{300 << 10, 1 << 20, 2 << 20} {
		data := make([]byte, size)
		rand.Read(data)
		send(n, data)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		send(n, data)
		runtime.ReadMemStats(&after)
		// The pool forgets some at each collection, and under the race detector.
		if each := float64(after.TotalAlloc-before.TotalAlloc) / n / float64(size); each > 2.6 {
			t.Errorf("a message of %d bytes takes %.2f times its size", size, each)
		}
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
