package devp2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/devp2p/rlpx"
	"github.com/starlingp2p/starling/wire/internal/framed"
	"github.com/starlingp2p/starling/wire/internal/intake"
	"github.com/starlingp2p/starling/wire/wiretest"
)

func TestSessionsSayWhoAndWhat(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, nil, func(c *Config) { c.Agent = "geth/v1\x1b[0m" })
		sa, sb := join(t, a, b)
		pa, pb := sa.Peer(), sb.Peer()
		if pa.Agent != "geth/v1?[0m" || pa.ID != b.Self() || len(pa.Protocols) != 1 || pa.Protocols[0] != "eth/70" || len(pa.Listen) != 1 || pa.Listen[0] != b.Addrs()[0] {
			t.Errorf("the dialler sees %+v", pa)
		}
		if pb.ID != a.Self() || !pb.Proven || len(pb.Listen) != 1 || pb.Listen[0] != a.Addrs()[0] {
			t.Errorf("the listener sees %+v", pb)
		}
		rtt, err := sa.(wire.Pinger).Ping(t.Context())
		if err != nil || rtt < 40*time.Millisecond || rtt > 100*time.Millisecond {
			t.Errorf("Ping = %v, %v", rtt, err)
		}
		c := a.host.Opened()[0].Claims
		if c.Head.Number != 5 || c.Genesis != testGenesis {
			t.Errorf("claims = %+v", c)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestDifficultyIsClaimedUnder68(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		old := func(c *Config) { c.Versions = []eth.Version{eth.V68} }
		a, b := start(t, n, 1, nil, old), start(t, n, 2, nil)
		sa, _ := join(t, a, b)
		if c := b.host.Opened()[0].Claims; c.Weight != chain.WeightOf(500) || c.Head != (chain.Ref{}) {
			t.Errorf("claims = %+v", c)
		}
		// Both have the same head, so its number is known without a question.
		if c := wiretest.Reports[wire.Claimed](b.host); len(c) != 1 || c[0].Status.Head.Number != 5 || c[0].Status.Weight != chain.WeightOf(500) {
			t.Errorf("Claimed = %+v", c)
		}
		block := chain.Block{Header: headerOf(7), Body: bodyOf(2)}
		if err := sa.Send(t.Context(), wire.LaneBlock, wire.Block{Block: block, Weight: chain.WeightOf(777)}); err != nil {
			t.Fatal(err)
		}
		if err := sa.Send(t.Context(), wire.LaneBlock, wire.BlockAnnounce{Ref: headerOf(8).Ref}); err != nil {
			t.Fatal(err)
		}
		if err := sa.Send(t.Context(), wire.LaneBlock, wire.Block{Block: block}); !errors.Is(err, wire.ErrUnsupported) {
			t.Errorf("Send of a block without weight = %v", err)
		}
		time.Sleep(time.Second)
		got := b.host.Checked()
		if len(got) != 2 {
			t.Fatalf("%d messages were checked, want 2", len(got))
		}
		first := got[0].Message.(wire.Block)
		if first.Block.Ref() != block.Ref() || !bytes.Equal(first.Block.Body, block.Body) || got[1].Message.(wire.BlockAnnounce).Ref != headerOf(8).Ref {
			t.Errorf("checked = %+v", got)
		}
		if c := wiretest.Reports[wire.Claimed](b.host); len(c) != 2 || c[1].Status.Weight != chain.WeightOf(777) || c[1].Status.Head != block.Ref() {
			t.Errorf("Claimed = %+v", c)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestTheNumberOfAnOldPeersHeadIsAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		head := headerOf(9)
		serve := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
			if g, ok := r.(wire.GetHeaders); !ok || g.Range.From.Hash != head.Ref.Hash || g.Range.Count != 1 {
				t.Errorf("asked for %+v", r)
			}
			return wire.Headers{Headers: []chain.Header{head}}, nil
		}}
		a := start(t, n, 1, nil, func(c *Config) { c.Versions = []eth.Version{eth.V68} })
		b := start(t, n, 2, serve, func(c *Config) {
			c.Status = func() chain.Status {
				return chain.Status{Genesis: testGenesis, Head: head.Ref, Weight: chain.WeightOf(19)}
			}
		})
		join(t, a, b)
		c := wiretest.Reports[wire.Claimed](a.host)
		if len(c) != 1 || c[0].Status.Head != head.Ref || c[0].Status.Weight != chain.WeightOf(19) {
			t.Errorf("Claimed = %+v", c)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestTransactionsTravelInPacks(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		sa, _ := join(t, a, b)
		var txs []chain.Tx
		var ids []wire.TxID
		for i := range 40 {
			tx := chain.Tx{Kind: 2, Bytes: append([]byte{2, 0xf9, 0x27, 0x10}, bytes.Repeat([]byte{byte(i)}, 10_000)...)}
			txs = append(txs, tx)
		}
		for i := range 5000 {
			ids = append(ids, wire.TxID{Hash: chain.Hash{byte(i), byte(i >> 8)}, Kind: 3, Size: uint32(i)})
		}
		if err := sa.Send(t.Context(), wire.LaneTx, wire.Txs{Txs: txs}); err != nil {
			t.Fatal(err)
		}
		if err := sa.Send(t.Context(), wire.LaneTx, wire.TxAnnounce{Txs: ids}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		packs, inFull, announced := 0, 0, 0
		for _, c := range b.host.Checked() {
			switch m := c.Message.(type) {
			case wire.Txs:
				packs++
				for _, tx := range m.Txs {
					if !bytes.Equal(tx.Bytes, txs[inFull].Bytes) || tx.Kind != 2 || tx.Hash.IsZero() {
						t.Fatalf("transaction %d differs", inFull)
					}
					inFull++
				}
			case wire.TxAnnounce:
				for _, id := range m.Txs {
					if id != ids[announced] {
						t.Fatalf("announcement %d is %+v", announced, id)
					}
					announced++
				}
			}
		}
		if packs < 4 || inFull != 40 || announced != 5000 {
			t.Errorf("%d transactions in %d packs, %d announced", inFull, packs, announced)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestBlockRangesAreTold(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		var mu sync.Mutex
		st := chain.Status{Genesis: testGenesis, Head: chain.Ref{Number: 5, Hash: chain.Hash{5}}}
		move := func(to uint64) {
			mu.Lock()
			defer mu.Unlock()
			st.Head = chain.Ref{Number: to, Hash: chain.Hash{byte(to)}}
		}
		a := start(t, n, 1, nil, func(c *Config) {
			c.Status = func() chain.Status { mu.Lock(); defer mu.Unlock(); return st }
		})
		b := start(t, n, 2, nil)
		join(t, a, b)
		var want []uint64
		for _, step := range []struct {
			to   uint64
			told bool
		}{{20, false}, {36, false}, {37, true}, {60, false}, {50, false}, {30, true}, {200, true}} {
			time.Sleep(10 * time.Second)
			move(step.to)
			if step.told {
				want = append(want, step.to)
			}
		}
		time.Sleep(10 * time.Second)
		var got []uint64
		for _, c := range wiretest.Reports[wire.Claimed](b.host) {
			got = append(got, c.Status.Head.Number)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("told of heads %v, want %v", got, want)
		}
		a.stop(t)
		b.stop(t)
	})
}

// Threat L-06: where headers prove nothing by themselves, no claim of a peer
// reaches the sync.
func TestClaimsStayOutWhereOnlyTargetsCount(t *testing.T) {
	for _, v := range []eth.Version{eth.V68, eth.V70} {
		bubble(t, func(t *testing.T, n *bed.Net) {
			a := start(t, n, 1, nil, func(c *Config) { c.TargetOnly = true })
			b := dialBare(t, n, 2, a)
			b.shake(t, v, a)
			if v == eth.V70 {
				b.send(t, b.offset+eth.BlockRangeUpdateMsg, eth.BlockRangeUpdate{Latest: chain.Ref{Number: 1 << 40, Hash: chain.Hash{1}}}.Append(nil))
			} else {
				m, err := eth.NewBlock{Header: headerOf(9).Bytes, Body: bodyOf(1), Difficulty: chain.WeightOf(1 << 60)}.Append(nil)
				if err != nil {
					t.Fatal(err)
				}
				b.send(t, b.offset+eth.NewBlockMsg, m)
			}
			time.Sleep(time.Second)
			if c := a.host.Opened()[0].Claims; c.Head != (chain.Ref{}) || c.Weight != (chain.Weight{}) || c.Genesis != testGenesis {
				t.Errorf("%v: claims = %+v", v, c)
			}
			if c := wiretest.Reports[wire.Claimed](a.host); len(c) > 0 {
				t.Errorf("%v: Claimed = %+v", v, c)
			}
			b.Close()
			time.Sleep(time.Second)
			a.stop(t)
		})
	}
}

func TestReceiptsComeInPagesUnder70(t *testing.T) {
	// 12 MiB of receipts of one block do not fit a message.
	item, err := rlp.EncodeToBytes([]any{uint64(2), uint64(1), uint64(21000), []any{[]any{make([]byte, 20), []any{}, make([]byte, 4096)}}})
	if err != nil {
		t.Fatal(err)
	}
	var items []rlp.RawValue
	for range 12 << 20 / len(item) {
		items = append(items, item)
	}
	block, err := rlp.EncodeToBytes(items)
	if err != nil {
		t.Fatal(err)
	}
	small := receiptsFor(2)
	serve := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		var out wire.Receipts
		for _, h := range r.(wire.GetReceipts).Hashes {
			out.Hashes = append(out.Hashes, h)
			if h[0] == 2 {
				out.Receipts = append(out.Receipts, block)
			} else {
				out.Receipts = append(out.Receipts, small)
			}
		}
		return out, nil
	}}
	bubble(t, func(t *testing.T, n *bed.Net) {
		n.SetLink(hostAddr(1), hostAddr(2), bed.Link{Latency: time.Millisecond, Rate: 1 << 30})
		a, b := start(t, n, 1, nil), start(t, n, 2, serve)
		sa, _ := join(t, a, b)
		got, err := sa.Request(t.Context(), wire.GetReceipts{Hashes: []chain.Hash{{2}}})
		if err != nil {
			t.Fatal(err)
		}
		r := got.(wire.Receipts)
		if len(r.Receipts) != 1 || !bytes.Equal(r.Receipts[0], block) {
			t.Errorf("%d of %d receipts came", eth.CountReceipts(r.Receipts[0]), len(items))
		}
		got, err = sa.Request(t.Context(), wire.GetReceipts{Hashes: []chain.Hash{{1}, {2}, {3}}})
		if err != nil || len(got.(wire.Receipts).Receipts) != 1 {
			t.Errorf("Request = %v, want the first block's alone", err)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestBodiesComeWithReceiptsIfWanted(t *testing.T) {
	serve := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		switch r := r.(type) {
		case wire.GetBodies:
			return wire.Bodies{Hashes: r.Hashes, Bodies: []wire.Body{{Body: bodyOf(1)}, {Body: bodyOf(2)}, {Body: bodyOf(3)}}}, nil
		case wire.GetReceipts:
			return wire.Receipts{Hashes: r.Hashes[:2], Receipts: [][]byte{receiptsFor(1), receiptsFor(2)}}, nil
		}
		return nil, &wire.Refusal{Code: wire.RefusedNotFound}
	}}
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil, func(c *Config) { c.WithReceipts = true }), start(t, n, 2, serve)
		sa, _ := join(t, a, b)
		got, err := sa.Request(t.Context(), wire.GetBodies{Hashes: []chain.Hash{{1}, {2}, {3}}})
		if err != nil {
			t.Fatal(err)
		}
		if r := got.(wire.Bodies); len(r.Bodies) != 2 || !bytes.Equal(r.Bodies[1].Extra, receiptsFor(2)) || !bytes.Equal(r.Bodies[1].Body, bodyOf(2)) {
			t.Errorf("bodies = %+v", r)
		}
		got, err = sa.Request(t.Context(), wire.GetBodies{Hashes: []chain.Hash{{1}, {2}, {3}}, BodiesOnly: true})
		if r, ok := got.(wire.Bodies); err != nil || !ok || len(r.Bodies) != 3 || len(r.Bodies[1].Extra) > 0 {
			t.Errorf("bodies only: %+v, %v, want all three", got, err)
		}
		a.stop(t)
		b.stop(t)
	})
}

// A body that is missing ends an answer; what comes after it is not attributed
// to another block.
func TestAnswersEndAtTheFirstThatIsMissing(t *testing.T) {
	serve := &wiretest.Host{OnServe: func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		hs := r.(wire.GetBodies).Hashes
		return wire.Bodies{Hashes: []chain.Hash{hs[0], hs[2]}, Bodies: []wire.Body{{Body: bodyOf(1)}, {Body: bodyOf(3)}}}, nil
	}}
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, serve)
		sa, _ := join(t, a, b)
		got, err := sa.Request(t.Context(), wire.GetBodies{Hashes: []chain.Hash{{1}, {2}, {3}}})
		if r, ok := got.(wire.Bodies); err != nil || !ok || len(r.Bodies) != 1 || r.Hashes[0] != (chain.Hash{1}) {
			t.Errorf("Request = %+v, %v", got, err)
		}
		a.stop(t)
		b.stop(t)
	})
}

// Both sides send their Status without waiting for the other's: to a dialler that
// is silent first, and to a listener that is, ours comes; then the session opens.
func TestStatusIsSentWithoutWaitingForTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil)
		b := dialBare(t, n, 2, a)
		b.greet(t, base.Cap{Name: "eth", Version: 70})
		if f, err := b.read(t); err != nil || f.Code != b.offset+eth.StatusMsg {
			t.Fatalf("the listener's Status = %+v, %v", f, err)
		}
		if len(a.host.Opened()) > 0 {
			t.Error("a session was opened without the dialler's Status")
		}
		b.send(t, b.offset+eth.StatusMsg, status(eth.V70, a).Append(nil, eth.V70))
		time.Sleep(time.Second)
		if len(a.host.Opened()) != 1 {
			t.Errorf("%d sessions were opened", len(a.host.Opened()))
		}
		b.Close()
		time.Sleep(time.Second)

		l, err := n.Host(hostAddr(3)).Listen(t.Context(), "tcp", hostAddr(3).String()+":30303")
		if err != nil {
			t.Fatal(err)
		}
		dialled := make(chan error, 1)
		go func() {
			dialled <- a.Dial(t.Context(), addrOf(IDOf(&keyFor(3).PublicKey), hostAddr(3).String(), 30303, 0))
		}()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		codec, err := rlpx.Respond(c, keyFor(3))
		if err != nil {
			t.Fatal(err)
		}
		s := &bare{Conn: framed.NewConn(c, codec, intake.NewBudget(64<<20)), raw: c, codec: codec, key: 3, offset: base.Offset}
		s.greet(t, base.Cap{Name: "eth", Version: 70})
		if f, err := s.read(t); err != nil || f.Code != s.offset+eth.StatusMsg {
			t.Fatalf("the dialler's Status = %+v, %v", f, err)
		}
		s.send(t, s.offset+eth.StatusMsg, status(eth.V70, a).Append(nil, eth.V70))
		if err := <-dialled; err != nil {
			t.Errorf("Dial = %v", err)
		}
		s.Close()
		l.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// chat is a protocol of an embedder: it sends its name and waits for the
// other's.
func chat(name string, heard chan<- string) Protocol {
	return Protocol{Name: "chat", Version: 1, Length: 2, Run: func(ctx context.Context, s *Stream) error {
		if err := s.Write(ctx, 1, []byte(name)); err != nil {
			return err
		}
		p, err := s.Read(ctx)
		if err != nil {
			return err
		}
		heard <- fmt.Sprintf("%d %s", p.Code, p.Payload)
		<-ctx.Done()
		return nil
	}}
}

func TestProtocolsOfTheEmbedderShareASession(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		heard := make(chan string, 4)
		a := start(t, n, 1, nil, func(c *Config) { c.Protocols = []Protocol{chat("alice", heard)} })
		b := start(t, n, 2, &wiretest.Host{OnServe: func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
			return wire.Headers{Headers: []chain.Header{headerOf(1)}}, nil
		}}, func(c *Config) { c.Protocols = []Protocol{chat("bob", heard)} })
		sa, _ := join(t, a, b)
		if x, y := <-heard, <-heard; x == y || len(x) < 5 || len(y) < 5 {
			t.Errorf("heard %q and %q", x, y)
		}
		// chat sorts before eth, so eth's codes are behind it.
		if got, err := sa.Request(t.Context(), wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}}); err != nil || got.(wire.Headers).Headers[0].Ref != headerOf(1).Ref {
			t.Errorf("Request = %v, %v", got, err)
		}
		if p := sa.Peer().Protocols; fmt.Sprint(p) != "[chat/1 eth/70]" {
			t.Errorf("protocols = %v", p)
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestProtocolsThatFailOrDoNotReadLoseTheirSession(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		run := func(f func(context.Context, *Stream) error) func(*Config) {
			return func(c *Config) { c.Protocols = []Protocol{{Name: "chat", Version: 1, Length: 2, Run: f}} }
		}
		idle := func(ctx context.Context, _ *Stream) error { <-ctx.Done(); return nil }
		for name, tt := range map[string]struct {
			a, b func(context.Context, *Stream) error
			want peer.Reason
		}{
			"error": {func(context.Context, *Stream) error { return errors.New("no") }, idle, peer.ByRemote},
			"done":  {func(context.Context, *Stream) error { return nil }, idle, peer.Requested},
			"panic": {func(context.Context, *Stream) error { panic("boom") }, idle, peer.ByRemote},
			"deaf": {idle, func(ctx context.Context, s *Stream) error {
				for range 300 {
					if err := s.Write(ctx, 0, []byte("hello")); err != nil {
						return err
					}
				}
				<-ctx.Done()
				return nil
			}, peer.Internal},
		} {
			a, b := start(t, n, 1, nil, run(tt.a)), start(t, n, 2, nil, run(tt.b))
			if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			if c := wiretest.Reports[wire.Closed](a.host); len(c) != 1 || c[0].Reason != tt.want || c[0].ByRemote {
				t.Errorf("%s: Closed = %+v, want %s", name, c, tt.want)
			}
			a.stop(t)
			b.stop(t)
		}
	})
}

// What a protocol says before eth's handshake is over is not lost.
func TestEarlyMessagesOfProtocolsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		heard := make(chan string, 1)
		a := start(t, n, 1, nil, func(c *Config) { c.Protocols = []Protocol{chat("alice", heard)} })
		b := dialBare(t, n, 2, a)
		b.greet(t, base.Cap{Name: "chat", Version: 1}, base.Cap{Name: "eth", Version: 69})
		b.send(t, base.Offset+1, []byte("early"))
		b.send(t, base.PingMsg, []byte{0xc0})
		b.send(t, base.Offset+2, status(eth.V69, a).Append(nil, eth.V69))
		if got := <-heard; got != "1 early" {
			t.Errorf("heard %q", got)
		}
		b.Close()
		time.Sleep(time.Second)
		a.stop(t)
	})
}

// A peer whose session we still hold, though it lost it, gets in again soon.
func TestALostSessionMakesWayForANewOne(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		join(t, b, a)
		n.Host(hostAddr(2)).Kill(bed.Silent)
		b.stop(t)
		n.Host(hostAddr(2)).Restore()
		again := start(t, n, 2, nil)
		err := again.Dial(t.Context(), a.Addrs()[0])
		if !errors.Is(err, peer.Refuse(peer.Duplicate)) {
			t.Errorf("the first Dial = %v", err)
		}
		time.Sleep(3 * time.Second)
		if err := again.Dial(t.Context(), a.Addrs()[0]); err != nil {
			t.Errorf("the second Dial = %v", err)
		}
		a.stop(t)
		again.stop(t)
	})
}

func TestTrafficIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T, n *bed.Net) {
		a, b := start(t, n, 1, nil), start(t, n, 2, nil)
		sa, _ := join(t, a, b)
		sa.Request(t.Context(), wire.GetHeaders{Range: chain.Range{From: chain.Ref{Number: 1}, Count: 1}})
		ta, tb := a.Traffic(), b.Traffic()
		out := ta[wire.TrafficKey{Protocol: "eth", Type: "get-headers"}]
		in := tb[wire.TrafficKey{Protocol: "eth", Type: "get-headers", Inbound: true}]
		if out.Messages != 1 || out != in || ta[wire.TrafficKey{Protocol: "eth", Type: "headers", Inbound: true}].Messages != 1 {
			t.Errorf("traffic = %v and %v", ta, tb)
		}
		a.stop(t)
		b.stop(t)
	})
}
