package rlpx

import (
	"crypto/rand"
	"fmt"
	"testing"

	gethrlpx "github.com/ethereum/go-ethereum/p2p/rlpx"
)

// benchSizes are those of the comparison with bare p2p/rlpx.
var benchSizes = []int{1 << 10, 1 << 20}

// batch is how many small messages a session's writer has at hand under load.
const batch = 16

// BenchmarkOurs sends messages over loopback through our connections.
func BenchmarkOurs(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			from, to := pair(b)
			from.Establish(MaxMessage, true)
			to.Establish(MaxMessage, true)
			data := make([]byte, size)
			rand.Read(data)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			sent := make(chan error, 1)
			b.ResetTimer()
			go func() {
				for i := range b.N {
					if err := from.Append(16, data); err != nil {
						sent <- err
						return
					}
					if from.Pending() < batch*(1<<10) && i+1 < b.N {
						continue
					}
					if err := from.Flush(); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			for range b.N {
				if _, err := to.Read(); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-sent; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkOursUnbatched flushes each message.
func BenchmarkOursUnbatched(b *testing.B) {
	from, to := pair(b)
	from.Establish(MaxMessage, true)
	to.Establish(MaxMessage, true)
	data := make([]byte, 1<<10)
	rand.Read(data)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	sent := make(chan error, 1)
	b.ResetTimer()
	go func() {
		for range b.N {
			if from.Append(16, data) != nil || from.Flush() != nil {
				break
			}
		}
		sent <- nil
	}()
	for range b.N {
		if _, err := to.Read(); err != nil {
			b.Fatal(err)
		}
	}
	<-sent
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
	link := &script{}
	Initiate(link, other, &key.PublicKey)
	packet := link.out.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Respond(&script{in: packet}, key); err != nil {
			b.Fatal(err)
		}
	}
}
