package devp2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// charged are the charges of one kind, which must be of that severity.
func charged(t *testing.T, r *running, o peer.Offense, sev peer.Severity, want int) {
	t.Helper()
	all := wiretest.Reports[wire.Offended](r.host)
	for _, c := range all {
		if c.Offense != o || severityOf(c) != sev {
			t.Errorf("charged with %s of severity %v (%s), want %s of %v", c.Offense, severityOf(c), c.Detail, o, sev)
		}
	}
	if len(all) != want {
		t.Errorf("%d charges, want %d", len(all), want)
	}
}

// Threat Z-01: a frame that drips in, a byte in five seconds, ends the session
// at its deadline, at a middling charge; a link that just stops is nobody's
// fault.
func TestFramesThatDripInAreCharged(t *testing.T) {
	for _, drips := range []bool{true, false} {
		bubble(t, func(t *testing.T, n *bed.Net) {
			a, b := besiege(t, n, eth.V69, nil)
			frame, err := b.codec.Seal(nil, b.offset+eth.TransactionsMsg, eth.Transactions{Txs: [][]byte{bytes.Repeat([]byte{2}, 3000)}}.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			b.raw.SetWriteDeadline(time.Time{})
			b.raw.Write(frame[:40])
			for i := 40; drips && i < 60 && len(a.host.Sessions()) > 0; i++ {
				time.Sleep(5 * time.Second)
				b.raw.Write(frame[i : i+1])
			}
			time.Sleep(time.Minute)
			if c := wiretest.Reports[wire.Closed](a.host); len(c) != 1 || c[0].Reason != peer.Slow {
				t.Errorf("Closed = %+v", c)
			}
			if drips {
				charged(t, a, peer.SlowFrame, peer.Mid, 1)
			} else {
				charged(t, a, "", peer.None, 0)
			}
			if used := a.node.Load().budget.Used(); used != 0 {
				t.Errorf("%d bytes of the budget are still taken", used)
			}
			b.Close()
			a.stop(t)
		})
	}
}

// Threat Z-02: a peer that reads nothing holds a bounded queue, of which the
// oldest gossip is dropped, and is let go within half a minute at a low charge.
func TestAPeerThatReadsNothingIsLetGo(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		n.SetLink(hostAddr(1), hostAddr(2), bed.Link{Latency: 20 * time.Millisecond, Queue: 64 << 10, Buffer: 64 << 10})
		a, b := besiege(t, n, eth.V69, nil)
		s := a.host.Sessions()[0]
		tx := chain.Tx{Kind: 2, Bytes: append([]byte{2}, junkOf(90_000)...)}
		began, sent := time.Now(), 0
		for time.Since(began) < 40*time.Second && len(a.host.Sessions()) > 0 {
			if s.Send(t.Context(), wire.LaneTx, wire.Txs{Txs: []chain.Tx{tx}}) == nil {
				sent++
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(3 * time.Second)
		if took := time.Since(began); len(a.host.Sessions()) > 0 || took > 35*time.Second {
			t.Errorf("after %v it is still there", took)
		}
		charged(t, a, peer.NotReading, peer.Low, 1)
		lost := 0
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			lost += d.Count
		}
		if lost < sent-300 || lost == 0 {
			t.Errorf("of %d messages %d were dropped: the queue is not bounded", sent, lost)
		}
		b.Close()
		a.stop(t)
	})
}

// junkOf are bytes that do not compress.
func junkOf(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// Threat Z-03: a request that is never answered times out at no charge of the
// wire's, the session and its other requests go on, and an answer that comes
// too late is no fault.
func TestASilentServerIsNotCharged(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := besiege(t, n, eth.V69, nil)
		s := a.host.Sessions()[0]
		began := time.Now()
		first := make(chan error, 1)
		go func() {
			_, err := s.Request(t.Context(), wire.GetBodies{Hashes: []chain.Hash{{1}}})
			first <- err
		}()
		f, err := b.read(t)
		if err != nil || f.Code != b.offset+eth.GetBlockBodiesMsg {
			t.Fatalf("asked %+v, %v", f, err)
		}
		late, _ := eth.RequestID(f.Payload)
		// Another request is answered meanwhile.
		second := make(chan error, 1)
		go func() {
			_, err := s.Request(t.Context(), wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}})
			second <- err
		}()
		if f, err = b.read(t); err != nil {
			t.Fatal(err)
		}
		id, _ := eth.RequestID(f.Payload)
		b.send(t, b.offset+eth.BlockHeadersMsg, eth.BlockHeaders{ID: id, Headers: [][]byte{headerOf(1).Bytes}}.Append(nil))
		if err := <-second; err != nil {
			t.Errorf("the other request: %v", err)
		}
		go b.drain(t) // which keeps the session alive
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-time.After(5 * time.Second):
					b.send(t, 2, []byte{0xc0})
				case <-stop:
					return
				}
			}
		}()
		err = <-first
		if took := time.Since(began); err == nil || took < requestTime || took > requestTime+2*time.Second {
			t.Errorf("Request = %v after %v", err, took)
		}
		b.send(t, b.offset+eth.BlockBodiesMsg, eth.BlockBodies{ID: late, Bodies: [][]byte{bodyOf(1)}}.Append(nil))
		time.Sleep(time.Second)
		close(stop)
		time.Sleep(6 * time.Second)
		charged(t, a, "", peer.None, 0)
		if len(a.host.Sessions()) != 1 {
			t.Errorf("the session ended: %+v", wiretest.Reports[wire.Closed](a.host))
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threats M-06 and M-13: bits that flip on the way and pass TCP end the link at
// nobody's charge; no body that was changed comes through, and the next dial
// succeeds.
func TestFlippedBitsEndTheLink(t *testing.T) {
	serve := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		return wire.Bodies{Hashes: r.(wire.GetBodies).Hashes, Bodies: []wire.Body{{Body: bodyOf(9)}}}, nil
	}}
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, serve)
		asked, ok := 0, 0
		for i := range 30 {
			if len(a.host.Sessions()) == 0 {
				a.Dial(t.Context(), b.Addrs()[0]) // it may fail while bits flip
			}
			n.Corrupt(hostAddr(2), hostAddr(1), []float64{0, 0.3, 1}[i%3])
			for _, s := range a.host.Sessions() {
				ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
				got, err := s.Request(ctx, wire.GetBodies{Hashes: []chain.Hash{{byte(i)}}})
				stop()
				asked++
				if err != nil {
					continue
				}
				ok++
				if !bytes.Equal(got.(wire.Bodies).Bodies[0].Body, bodyOf(9)) {
					t.Errorf("another body came: %x", got.(wire.Bodies).Bodies[0].Body)
				}
			}
			time.Sleep(5 * time.Second)
		}
		n.Corrupt(hostAddr(2), hostAddr(1), 0)
		time.Sleep(time.Minute)
		if len(a.host.Sessions()) == 0 {
			if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
				t.Errorf("the dial after the trouble: %v", err)
			}
		}
		if ends := len(wiretest.Reports[wire.Closed](a.host)); ends < 3 || ok == 0 || ok == asked {
			t.Errorf("%d sessions ended, %d of %d requests went well: nothing is shown by that", ends, ok, asked)
		}
		charged(t, a, "", peer.None, 0)
		charged(t, b, "", peer.None, 0)
		a.stop(t)
		b.stop(t)
	})
}

// Threat B-04: a hundred peers send a message each, at once, of which the decode
// budget holds a quarter, and each takes 100 ms to check. No more is taken in than
// there is room for, but for one that is being decoded; the others wait, and within
// two seconds every one has been checked; nobody is charged, and nothing of the budget is left taken. The full
// form has the row's own sizes, 10 MiB and 256 MiB; the other a tenth of them.
func TestAHundredLargeMessagesTakeTurns(t *testing.T) {
	peers, size, bound := 100, 1<<20, 256<<20/10
	if os.Getenv("STARLING_FULL") != "" {
		size, bound = eth.MaxMessage-64, 256<<20
	}
	bubble(t, func(t *testing.T, n *bed.Net) {
		var came atomic.Int32
		var most, last atomic.Int64
		var node atomic.Pointer[node]
		var began time.Time
		h := &wiretest.Host{OnCheck: func(_ context.Context, _ wire.Session, m wire.Message) chain.Verdict {
			if txs := m.(wire.Txs).Txs; len(txs) != 1 || len(txs[0].Bytes) != size {
				t.Errorf("%d transactions came", len(txs))
			}
			used := node.Load().budget.Used()
			for was := most.Load(); used > was && !most.CompareAndSwap(was, used); was = most.Load() {
			}
			time.Sleep(100 * time.Millisecond)
			came.Add(1)
			last.Store(int64(time.Since(began))) // the clock does not run back
			return chain.Accepted()
		}}
		a := start(t, n, 1, h, func(c *Config) { c.DecodeBudget = bound })
		node.Store(a.node.Load())
		message := eth.Transactions{Txs: [][]byte{append([]byte{2}, make([]byte, size-1)...)}}.Append(nil)
		var all []*bare
		for i := range uint64(peers) {
			b := dialBare(t, n, 2+i, a)
			b.shake(t, eth.V69, a)
			all = append(all, b)
		}
		time.Sleep(time.Second)
		began = time.Now()
		var sent sync.WaitGroup
		for _, b := range all {
			sent.Go(func() { b.send(t, b.offset+eth.TransactionsMsg, message) })
		}
		sent.Wait()
		time.Sleep(5 * time.Second)
		if took := time.Duration(last.Load()); int(came.Load()) != peers || took > 2*time.Second {
			t.Errorf("%d of %d messages were checked, the last after %v; want all within 2s", came.Load(), peers, took)
		}
		t.Logf("%d messages of %d bytes: the last after %v, at most %d bytes of %d taken", peers, size, time.Duration(last.Load()), most.Load(), bound)
		if over := int64(bound + size + 1<<20); most.Load() > over || most.Load() < int64(bound/2) { // one at a time may go over it, with what it decodes to
			t.Errorf("%d bytes were taken at once, want at most %d and a good part of it", most.Load(), over)
		}
		charged(t, a, "", peer.None, 0)
		if used := node.Load().budget.Used(); used != 0 {
			t.Errorf("%d bytes of the budget are still taken", used)
		}
		if got := len(a.host.Sessions()); got != peers {
			t.Errorf("%d sessions are left, want %d", got, peers)
		}
		for _, b := range all {
			b.Close()
		}
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// Threat H-13: there is no way to a session without encryption: a Hello in
// plain text, the auth of before EIP-8 and TLS's first bytes end the link
// without an answer, at nobody's charge; a peer without snappy is still
// encrypted to.
func TestNothingIsSaidWithoutEncryption(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		hello := (&bare{key: 2}).hello().Append(nil)
		for name, first := range map[string][]byte{
			"plain Hello":     append([]byte{0, 0, byte(len(hello) + 1), 0xc2, 0x80, 0x80, 0x80}, hello...),
			"framed Hello":    append(bytes.Repeat([]byte{0}, 32), hello...),
			"auth of old":     append([]byte{4}, make([]byte, 306)...),
			"TLS":             append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 506)...),
			"HTTP":            []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
			"EIP-8, unsealed": append([]byte{1, 44}, bytes.Repeat([]byte{0xc0}, 300)...),
		} {
			_, host, port, _ := parts(a.Addrs()[0])
			c, err := n.Host(hostAddr(9)).Dial(t.Context(), "tcp", fmt.Sprintf("%s:%d", host, port))
			if err != nil {
				t.Fatal(err)
			}
			c.Write(first)
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if k, err := c.Read(make([]byte, 1)); k != 0 || err == nil {
				t.Errorf("%s: it was answered", name)
			} else if timeout := interface{ Timeout() bool }(nil); errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("%s: the link stays", name)
			}
			c.Close()
		}
		if len(a.host.Opened()) > 0 {
			t.Error("a session was opened")
		}
		charged(t, a, "", peer.None, 0)
		a.stop(t)
	})
}
