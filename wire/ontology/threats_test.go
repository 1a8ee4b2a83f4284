package ontology

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat M-01: random bytes before the handshake, at either port, end the link
// soon, and cost no identity anything.
func TestRandomBytesEndTheLink(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		second := netip.AddrPortFrom(ipOf(1), 20339).String()
		a := start(t, n, 1, nil, func(c *Config) { c.ConsensusListen = second })
		r := rand.New(rand.NewPCG(1, 1))
		for i := range 50 {
			at := portOf(1)
			if i%2 == 1 {
				at = second
			}
			p := call(t, n, ipOf(9), at)
			b := make([]byte, 1+r.IntN(300))
			for k := range b {
				b[k] = byte(r.Uint32())
			}
			if i%3 == 0 { // the network's magic, and nonsense behind it
				binary.LittleEndian.PutUint32(append(b[:0], make([]byte, 4)...), 299)
			}
			p.Write(b)
			began := time.Now()
			for {
				if _, err := p.Read(make([]byte, 1)); err != nil {
					break
				}
			}
			if took := time.Since(began); took > shakeTime {
				t.Errorf("%d bytes held a link for %v", len(b), took)
			}
		}
		until(t, a.host, "all refusals", func() bool { return len(wiretest.Reports[wire.Refused](a.host)) == 50 })
		if len(wiretest.Reports[wire.Offended](a.host)) > 0 || len(a.host.Opened()) > 0 {
			t.Error("somebody was charged, or has a session")
		}
	})
}

// ask has a session ask for blocks, and gives what came of it.
func ask(t *testing.T, s wire.Session, blocks ...codec.Block) <-chan error {
	var req wire.GetBlocksByHash
	for _, b := range blocks {
		req.Hashes = append(req.Hashes, b.Ref().Hash)
	}
	done := make(chan error, 1)
	go func() {
		resp, err := s.Request(t.Context(), req)
		if bs, ok := resp.(wire.Blocks); err == nil && (!ok || len(bs.Blocks) != len(blocks)) {
			err = errors.New("another number of blocks")
		}
		done <- err
	}()
	return done
}

// Threat M-13: a flipped bit that TCP did not see is seen by the checksum, and
// nothing of it gets to whoever asked.
func TestFlippedBlocksAreNotTaken(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		b := blockOf(5, bodySize)
		done := ask(t, a.host.Sessions()[0], b)
		p.wants(codec.CmdGetData)
		frame, _ := codec.AppendFrame(nil, 299, codec.CmdBlock, b.Append(nil))
		frame[len(frame)-7] ^= 4
		p.Write(frame)
		if err := <-done; !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Request = %v", err)
		}
		p.closed()
	})
}

// Threat L-01: a block whose transactions are another's is a lie that nobody
// has to check any further; another block than the one that was asked for is
// dropped, and the question stays open.
func TestWrongBlocksAreNotTaken(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		s := a.host.Sessions()[0]
		asked, other := blockOf(5, bodySize), blockOf(6, bodySize)
		done := ask(t, s, asked)
		p.wants(codec.CmdGetData)
		p.send(codec.CmdBlock, other.Append(nil))
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.Unasked
		})
		p.send(codec.CmdBlock, asked.Append(nil))
		if err := <-done; err != nil {
			t.Errorf("Request = %v", err)
		}
		time.Sleep(repeatAfter)
		done = ask(t, s, asked)
		p.wants(codec.CmdGetData)
		lie := asked
		lie.Body = other.Body
		p.send(codec.CmdBlock, lie.Append(nil))
		if err := <-done; !errors.Is(err, wire.ErrClosed) {
			t.Errorf("Request = %v", err)
		}
		until(t, a.host, "the lie's charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 2 && all[1].Offense == peer.WrongBlock
		})
	})
}

// Threat M-03, L-08: of large blocks that come faster than they are taken some
// are held, and of what nobody asked for nothing is.
func TestLargeBlocksAreHeldUpToABound(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		s := a.host.Sessions()[0].(*session)
		p.send(codec.CmdBlock, make([]byte, 9<<20)) // is not even looked at
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.Unasked
		})
		var all []codec.Block
		for i := range byte(8) {
			tx := txOf(uint32(i), codec.MaxTx-200)
			h := codec.Header{TxRoot: codec.TxRoot([]codec.Hash{tx.Hash}), Height: uint32(i), Time: 1}.Seal()
			all = append(all, codec.Block{Header: h, Body: codec.AppendBody(nil, []codec.Tx{tx})})
		}
		done := ask(t, s, all...)
		for i := len(all) - 1; i >= 0; i-- { // the first, for which all wait, comes last
			p.wants(codec.CmdGetData)
		}
		for i := len(all) - 1; i >= 0; i-- {
			p.send(codec.CmdBlock, all[i].Append(nil))
			synctest.Wait()
			s.mu.Lock()
			if s.held > maxHeld {
				t.Errorf("%d bytes are held", s.held)
			}
			s.mu.Unlock()
		}
		if err := <-done; err == nil {
			t.Error("all of them were held")
		}
		synctest.Wait()
		if s.held != 0 {
			t.Errorf("%d bytes are held when all is over", s.held)
		}
		if len(a.host.Sessions()) != 1 {
			t.Error("the session ended")
		}
	})
}

// A block that is not found in the midst of others ends what is given there: it
// says nothing of those behind it, and is no gap.
func TestWhatIsGivenHasNoGap(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
		s := a.host.Sessions()[0].(*session)
		b5, b6, b7 := blockOf(5, bodySize), blockOf(6, bodySize), blockOf(7, bodySize)
		done := make(chan []chain.Block, 1)
		go func() {
			resp, err := s.Request(t.Context(), wire.GetBlocksByHash{Hashes: []chain.Hash{b5.Ref().Hash, b6.Ref().Hash, b7.Ref().Hash}})
			if err != nil {
				t.Error(err)
			}
			bs, _ := resp.(wire.Blocks)
			done <- bs.Blocks
		}()
		for range 3 {
			p.wants(codec.CmdGetData)
		}
		p.send(codec.CmdBlock, b7.Append(nil))
		p.send(codec.CmdBlock, b5.Append(nil))
		p.send(codec.CmdNotFound, codec.NotFound{Hash: b6.Header.Hash}.Append(nil))
		if got := <-done; len(got) != 1 || got[0].Ref() != b5.Ref() {
			t.Errorf("%d blocks", len(got))
		}
		synctest.Wait()
		if s.held != 0 {
			t.Errorf("%d bytes are held", s.held)
		}
	})
}

// Threat H-06: behind another node's second port somebody else may answer; that
// link is not attached.
func TestAnotherNodeAtTheSecondPort(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.ConsensusListen = netip.AddrPortFrom(ipOf(1), 20339).String() })
		answer := func(port uint16, nonce uint64, consensus bool) {
			l, err := n.Host(ipOf(9)).Listen(t.Context(), "tcp", netip.AddrPortFrom(ipOf(9), port).String())
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { l.Close() })
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				p := &old{Conn: c, t: t}
				p.send(codec.CmdVersion, codec.Version{Nonce: nonce, ConsensusPort: 20339, Consensus: consensus, Relay: true}.Append(nil))
				p.send(codec.CmdVerAck, []byte{0})
				p.closed()
			}()
		}
		answer(20338, 42, false)
		answer(20339, 43, true)
		at, _ := a.ParseAddr(portOf(9))
		if err := a.Dial(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := a.ConsensusLinks(); len(got) != 0 || len(a.host.Sessions()) != 1 {
			t.Errorf("ConsensusLinks = %v with %d sessions", got, len(a.host.Sessions()))
		}
	})
}

// Threat H-08: of two nodes that dial each other at once one link is left within
// two seconds, the same at both ends.
func TestCrossingDialsLeaveOneLink(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 8))
			n := bed.NewNet(bed.Config{Link: bed.Link{Latency: time.Duration(1+r.IntN(80)) * time.Millisecond}})
			defer n.Close()
			a, b := start(t, n, 1, nil, nil), start(t, n, 2, nil, nil)
			gap := time.Duration(r.IntN(100)) * time.Millisecond
			done := make(chan struct{})
			dial := func(from, to *running, wait time.Duration) {
				time.Sleep(wait)
				at, _ := from.ParseAddr(to.Addrs()[0].Text)
				from.Dial(t.Context(), at) // one of them may lose
				done <- struct{}{}
			}
			go dial(a, b, 0)
			go dial(b, a, gap)
			<-done
			<-done
			time.Sleep(2 * time.Second)
			if x, y := len(a.host.Sessions()), len(b.host.Sessions()); x != 1 || y != 1 {
				t.Fatalf("seed %d: %d and %d sessions", seed, x, y)
			}
			if x, y := a.host.Sessions()[0].Peer().Direction, b.host.Sessions()[0].Peer().Direction; x == y {
				t.Errorf("seed %d: both ends call theirs %v", seed, x)
			}
		})
	}
}

// Threat Z-07: a peer that only keeps the link alive is kept.
func TestAnIdlePeerIsKept(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		for range 200 {
			time.Sleep(3 * time.Second)
			p.send(codec.CmdPing, codec.Ping{Height: 3}.Append(nil))
			p.wants(codec.CmdPong)
		}
		if len(a.host.Sessions()) != 1 || len(wiretest.Reports[wire.Offended](a.host)) > 0 {
			t.Error("it was let go, or charged")
		}
	})
}

// Threat R-01, T-03: a flood of questions and of inventories waits in its own
// session's bounded queue; what is over is dropped and counted, and others are
// served meanwhile.
func TestFloodsStayInTheirSession(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		release := make(chan struct{})
		flooder := func(s wire.Session) bool { return s.Peer().Endpoint.Addr() == ipOf(9) }
		h := &wiretest.Host{
			OnServe: func(ctx context.Context, s wire.Session, _ wire.Request) (wire.Response, error) {
				if flooder(s) {
					select {
					case <-release:
					case <-ctx.Done():
					}
				}
				return wire.Blocks{Blocks: []chain.Block{blockOf(2, bodySize).Chain()}}, nil
			},
			OnCheck: stuck(release),
		}
		a := start(t, n, 1, h, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		inv := codec.Inv{Kind: codec.KindTx, Hashes: make([]codec.Hash, 1024)}
		for range 2000 {
			p.send(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: codec.Hash{1}}.Append(nil))
		}
		for range 1000 { // a million hashes
			p.send(codec.CmdInv, inv.Append(nil))
		}
		honest := call(t, n, ipOf(10), portOf(1))
		honest.nonce = 43
		honest.shakes(nil)
		honest.send(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: blockOf(2, bodySize).Header.Hash}.Append(nil))
		began := time.Now()
		honest.wants(codec.CmdBlock)
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the honest peer waited %v", took)
		}
		dropped := 0
		for _, d := range wiretest.Reports[wire.Dropped](a.host) {
			dropped += d.Count
		}
		if dropped < 1000 {
			t.Errorf("%d dropped", dropped)
		}
		close(release)
		until(t, a.host, "the inventories that had room", func() bool { return len(a.host.Checked()) > 0 })
		for _, c := range a.host.Checked() {
			if m, ok := c.Message.(wire.TxAnnounce); ok && len(m.Txs) > 64 {
				t.Errorf("an inventory of %d hashes", len(m.Txs))
			}
		}
	})
}

// Threat R-04: what nobody has is "not found", or silence for headers, at no
// cost to who asked.
func TestUnknownThingsAreNotFound(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		h := &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return nil, &wire.Refusal{Code: wire.RefusedNotFound}
		}}
		a := start(t, n, 1, h, nil)
		p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
		for i := range byte(20) {
			for _, kind := range []codec.Kind{codec.KindBlock, codec.KindTx} {
				p.send(codec.CmdGetData, codec.GetData{Kind: kind, Hash: codec.Hash{i + 1}}.Append(nil))
				if m, err := codec.DecodeNotFound(p.wants(codec.CmdNotFound), codec.Strict); err != nil || m.Hash != (codec.Hash{i + 1}) {
					t.Errorf("notfound %+v, %v", m, err)
				}
			}
			p.send(codec.CmdGetHeaders, codec.GetHeaders{End: codec.Hash{i + 1}}.Append(nil))
		}
		p.send(codec.CmdPing, codec.Ping{}.Append(nil))
		p.wants(codec.CmdPong)
		if len(wiretest.Reports[wire.Offended](a.host)) > 0 || len(a.host.Sessions()) != 1 {
			t.Error("it was charged, or let go")
		}
	})
}
