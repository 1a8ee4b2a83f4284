package opstack

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	mplex "github.com/libp2p/go-libp2p-mplex"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"

	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Noise and yamux come first; a peer that has only mplex, or only TLS where that
// is on, has a session all the same, and is served.
func TestMuxersAndSecurityAreAgreedOn(t *testing.T) {
	for _, tt := range []struct {
		name     string
		tls      bool
		options  []libp2p.Option
		security protocol.ID
		muxer    protocol.ID
	}{
		{"the default", true, []libp2p.Option{libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport), libp2p.Muxer(mplex.ID, mplex.DefaultTransport)}, noise.ID, yamux.ID},
		{"mplex alone", false, []libp2p.Option{libp2p.Security(noise.ID, noise.New), libp2p.Muxer(mplex.ID, mplex.DefaultTransport)}, noise.ID, mplex.ID},
		{"TLS alone", true, []libp2p.Option{libp2p.Security(libtls.ID, libtls.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport)}, libtls.ID, yamux.ID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := serving()
			w := onLoopback(t, h, func(c *Config) { c.DiscoverOn, c.TLS = "", tt.tls })
			b, err := libp2p.New(append(tt.options, libp2p.NoListenAddrs, libp2p.DisableRelay())...)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			p, name := &place{t: t}, codec.Protocols(chainID)[0]
			b.SetStreamHandler(protocol.ID(name), nil)
			id := p.connect(b, w, h)
			if res, _ := p.ask(b, id, name, 1); res != codec.ResultOK {
				t.Errorf("result %d", res)
			}
			c := b.Network().ConnsToPeer(libpeer.ID(id))
			if len(c) != 1 || c[0].ConnState().Security != tt.security || c[0].ConnState().StreamMultiplexer != tt.muxer {
				t.Errorf("connections %+v", c)
			}
		})
	}
}

// Relay, Kademlia and the like are off on this wire.
func TestNoProtocolBesideOpNodesIsOffered(t *testing.T) {
	w := onLoopback(t, &wiretest.Host{}, func(c *Config) { c.DiscoverOn = "" })
	for _, p := range w.Protocols() {
		switch p {
		case "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", codec.Protocols(chainID)[0], codec.Protocols(chainID)[1],
			"/starling/opstack/901/request/1", // ranges, between Starlings
			"/meshsub/1.3.0", "/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0", "/floodsub/1.0.0":
		default:
			t.Errorf("%s is offered", p)
		}
	}
}
