package reqresp_test

import (
	"context"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/codec"
	"github.com/starlingp2p/starling/wire/internal/reqresp"
)

// libp2p streams are what the layer runs on.
var _ reqresp.Stream = network.Stream(nil)

// hosts are two libp2p hosts that are connected over TCP, Noise and yamux.
func hosts(b *testing.B) (asker, server host.Host) {
	b.Helper()
	mk := func() host.Host {
		h, err := libp2p.New(
			libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.NoTransports, libp2p.Transport(tcp.NewTCPTransport),
			libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
			libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}),
		)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		return h
	}
	asker, server = mk(), mk()
	if err := asker.Connect(b.Context(), lpeer.AddrInfo{ID: server.ID(), Addrs: server.Addrs()}); err != nil {
		b.Fatal(err)
	}
	return asker, server
}

const benchBlocks = 16

// The raw stream that the layer is measured against: 1 MiB writes.
func BenchmarkRawStream(b *testing.B) {
	asker, server := hosts(b)
	const id = protocol.ID("/raw/1")
	data := make([]byte, 1<<20)
	server.SetStreamHandler(id, func(s network.Stream) {
		defer s.Close()
		for {
			if _, err := s.Write(data); err != nil {
				return
			}
		}
	})
	s, err := asker.NewStream(b.Context(), server.ID(), id)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Reset()
	s.Write([]byte{1})
	buf := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(s, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// One iteration is 16 blocks of 64 KiB, four requests under way.
func benchBulk(b *testing.B, windowed bool) {
	asker, server := hosts(b)
	resp := wire.Blocks{Blocks: blocks(benchBlocks, 64<<10)}
	var w *reqresp.Window
	if windowed {
		w = reqresp.NewWindow()
	}
	server.SetStreamHandler(codec.RequestProtocol, func(s network.Stream) {
		reqresp.Answer(context.Background(), s, w, reqresp.Limits{}, answering(resp, nil))
	})
	ask := wire.GetBlocks{Range: chain.Range{Count: benchBlocks}}
	b.SetBytes(benchBlocks * 64 << 10)
	b.ReportAllocs()
	b.SetParallelism(2) // of two cores: four
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s, err := asker.NewStream(b.Context(), server.ID(), codec.RequestProtocol)
			if err != nil {
				b.Error(err)
				return
			}
			got, err := reqresp.Do(b.Context(), s, ask, reqresp.Limits{})
			if err != nil || len(got.(wire.Blocks).Blocks) != benchBlocks {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkBulk(b *testing.B)         { benchBulk(b, false) }
func BenchmarkBulkWindowed(b *testing.B) { benchBulk(b, true) }
