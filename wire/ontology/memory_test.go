package ontology

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// inUse is the memory that is held, after a collection.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// Threat H-01, H-12: silent links cost little each, at most 64 of them shake
// hands at once, all are closed at the deadline, and an honest peer gets in.
func TestSilentLinksCostLittle(t *testing.T) {
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, nil)
		before := inUse()
		const links = 1000
		all := make([]net.Conn, links)
		for i := 0; i < links; i += 100 { // as many as wait to be accepted
			var wg sync.WaitGroup
			for k := i; k < i+100; k++ {
				wg.Go(func() {
					from := n.Host(netip.AddrFrom4([4]byte{198, 18, byte(k >> 8), byte(k)}))
					var err error
					if all[k], err = from.Dial(t.Context(), "tcp", portOf(1)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		if t.Failed() {
			return
		}
		time.Sleep(time.Second)
		if each := (max(inUse(), before) - before) / links; each > 64<<10 {
			t.Errorf("a silent link costs %d bytes", each)
		}
		began := time.Now()
		for _, c := range all {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			c.Read(make([]byte, 1)) // to its end
		}
		if took := time.Since(began); took > shakeTime {
			t.Errorf("the last was closed after %v", took)
		}
		full := 0
		for _, r := range wiretest.Reports[wire.Refused](a.host) {
			if r.Reason == peer.HandshakesFull {
				full++
			}
		}
		if full != links-maxShaking {
			t.Errorf("%d links found the handshakes full, want %d", full, links-maxShaking)
		}
		call(t, n, ipOf(9), portOf(1)).shakes(nil)
		until(t, a.host, "the honest peer", func() bool { return len(a.host.Sessions()) == 1 })
	})
}

// Threat M-03, Z-02, L-08: whatever one peer sends, and though it reads
// nothing, it costs less than 16 MiB.
func TestAHostilePeerCostsLittle(t *testing.T) {
	large := make([]byte, codec.MaxBlock)
	header := codec.Header{Height: 7, Time: 1, Payload: make([]byte, 100<<10)}.Seal()
	block := codec.Block{Header: header, Body: codec.AppendBody(nil, []codec.Tx{txOf(1, codec.MaxTx-200), txOf(2, codec.MaxTx-200)})}.Append(nil)
	inv := codec.Inv{Kind: codec.KindTx, Hashes: make([]codec.Hash, 1024)}.Append(nil)
	tiny := tinyBlock()
	var short []codec.Header
	for range codec.MaxHeaders {
		short = append(short, codec.Header{Payload: make([]byte, 8000)}.Seal())
	}
	headers := codec.Headers{Headers: short}.Append(nil)
	vote := newSigner().sign(string(make([]byte, 1<<20)))
	for name, fill := range map[string]func(*old){
		"frames that do not end": func(p *old) {
			b, _ := codec.AppendFrame(nil, 299, codec.CmdBlock, large)
			p.Write(b[:9<<20])
		},
		"transactions": func(p *old) { repeat(p, 40, codec.CmdTx, txOf(1, codec.MaxTx-200).Raw) },
		"blocks":       func(p *old) { repeat(p, 20, codec.CmdBlock, block) },
		"headers":      func(p *old) { repeat(p, 10, codec.CmdHeaders, headers) },
		"a large block of tiny transactions that it announced, and more": func(p *old) {
			inv := codec.Inv{Kind: codec.KindBlock, Hashes: []codec.Hash{tiny.Header.Hash}}
			p.send(codec.CmdInv, inv.Append(nil))
			p.wants(codec.CmdGetData)
			p.send(codec.CmdBlock, tiny.Append(nil))
			repeat(p, 5, codec.CmdBlock, tiny.Append(nil))
		},
		"consensus messages": func(p *old) { repeat(p, 40, codec.CmdConsensus, vote) },
		"inventories":        func(p *old) { repeat(p, 2000, codec.CmdInv, inv) },
		"requests whose answers it does not read": func(p *old) {
			repeat(p, 3000, codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: codec.Hash{1}}.Append(nil))
			repeat(p, 3000, codec.CmdGetHeaders, codec.GetHeaders{}.Append(nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBed(t, func(t *testing.T, n *bed.Net) {
				n.SetLink(ipOf(1), ipOf(9), bed.Link{Queue: 64 << 10, Buffer: 64 << 10})
				release := make(chan struct{})
				answer := chain.Block{Header: header.Chain(), Body: block[len(header.Raw):]}
				h := &wiretest.Host{OnCheck: stuck(release), OnServe: bulk(answer)}
				a := start(t, n, 1, h, nil)
				p := call(t, n, ipOf(9), portOf(1)).shakes(nil)
				until(t, a.host, "a session", func() bool { return len(a.host.Sessions()) == 1 })
				before := inUse()
				done := make(chan struct{})
				go func() { defer close(done); fill(p) }()
				time.Sleep(8 * time.Second)
				if cost := int64(inUse()) - int64(before); cost > 16<<20 {
					t.Errorf("it costs %s KiB", strconv.FormatInt(cost>>10, 10))
				}
				close(release)
				p.Close()
				<-done
				a.stop()
			})
		})
	}
}

// tinyBlock is as large as a block may be, and of as many transactions as fit.
func tinyBlock() codec.Block {
	one := codec.Tx{Type: codec.TxInvoke}.Seal()
	n := (codec.MaxBlock - 1024) / len(one.Raw)
	hashes := make([]codec.Hash, n)
	body := make([]byte, 4, codec.MaxBlock)
	binary.LittleEndian.PutUint32(body, uint32(n))
	for i := range hashes {
		hashes[i], body = one.Hash, append(body, one.Raw...)
	}
	return codec.Block{Header: codec.Header{Height: 9, Time: 9, TxRoot: codec.TxRoot(hashes)}.Seal(), Body: body}
}

func repeat(p *old, times int, c codec.Command, payload []byte) {
	b, err := codec.AppendFrame(nil, 299, c, payload)
	if err != nil {
		p.t.Error(err)
	}
	for range times {
		if _, err := p.Write(b); err != nil {
			return
		}
	}
}
