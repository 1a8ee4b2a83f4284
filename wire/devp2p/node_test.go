package devp2p

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

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

// bubble runs f in virtual time on a network with that latency.
func bubble(t *testing.T, f func(t *testing.T, n *bed.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 20 * time.Millisecond}})
		f(t, n)
		n.Close()
	})
}

// running is a wire that runs.
type running struct {
	*Wire
	host *wiretest.Host
	end  func()
}

// start runs the i-th peer. The caller stops it before the bubble ends.
func start(t *testing.T, n *bed.Net, i uint64, h *wiretest.Host, change ...func(*Config)) *running {
	t.Helper()
	cfg := configFor(n, i, "test", testGenesis)
	cfg.Listen = net.JoinHostPort(hostAddr(i).String(), "30303")
	for _, c := range change {
		c(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		h = &wiretest.Host{}
	}
	return &running{w, h, wiretest.Start(t, w, h)}
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.end()
	if wrong := r.host.Wrong(); len(wrong) > 0 {
		t.Error(errors.Join(wrong...))
	}
}

// join dials and gives both sides' sessions.
func join(t *testing.T, a, b *running) (sa, sb wire.Session) {
	t.Helper()
	if err := a.Dial(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if len(a.host.Sessions()) != 1 || len(b.host.Sessions()) != 1 {
		t.Fatalf("%d and %d sessions", len(a.host.Sessions()), len(b.host.Sessions()))
	}
	return a.host.Sessions()[0], b.host.Sessions()[0]
}

// bare is a peer that does as the test says.
type bare struct {
	*framed.Conn
	raw    net.Conn
	codec  *rlpx.Codec
	key    uint64
	offset uint64 // of eth
}

// dialBare connects the i-th peer to a wire, up to RLPx.
func dialBare(t *testing.T, n *bed.Net, i uint64, to *running) *bare {
	t.Helper()
	id, host, _, _ := parts(to.Addrs()[0])
	c, err := n.Host(hostAddr(i)).Dial(t.Context(), "tcp", net.JoinHostPort(host, "30303"))
	if err != nil {
		t.Fatal(err)
	}
	codec, err := rlpx.Initiate(c, keyFor(i), keyOf(id))
	if err != nil {
		t.Fatal(err)
	}
	return &bare{Conn: framed.NewConn(c, codec, intake.NewBudget(64<<20)), raw: c, codec: codec, key: i, offset: base.Offset}
}

func (b *bare) send(t *testing.T, code uint64, payload []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := b.Write(ctx, code, payload); err != nil {
		t.Logf("send: %v", err)
	}
}

// read gives the next message that is no keep-alive.
func (b *bare) read(t *testing.T) (framed.Frame, error) {
	t.Helper()
	for {
		f, err := b.Read(t.Context(), time.Minute)
		if err != nil || f.Code != base.PingMsg && f.Code != base.PongMsg {
			return f, err
		}
	}
}

// hello is what a bare peer says.
func (b *bare) hello(caps ...base.Cap) base.Hello {
	h := base.Hello{Version: base.Version, Agent: "bare", Caps: caps}
	copy(h.ID[:], exportID(&keyFor(b.key).PublicKey))
	return h
}

// greet exchanges Hello.
func (b *bare) greet(t *testing.T, caps ...base.Cap) {
	t.Helper()
	b.send(t, base.HelloMsg, b.hello(caps...).Append(nil))
	if f, err := b.read(t); err != nil || f.Code != base.HelloMsg {
		t.Fatalf("Hello = %+v, %v", f, err)
	}
	b.codec.Establish(maxMessage, true)
}

// status is what an honest peer says.
func status(v eth.Version, to *running) eth.Status { return to.node.Load().status(v) }

// shake makes a bare peer's link a session.
func (b *bare) shake(t *testing.T, v eth.Version, to *running) {
	t.Helper()
	b.greet(t, base.Cap{Name: "eth", Version: uint(v)})
	b.send(t, b.offset+eth.StatusMsg, status(v, to).Append(nil, v))
	if f, err := b.read(t); err != nil || f.Code != b.offset+eth.StatusMsg {
		t.Fatalf("Status = %+v, %v", f, err)
	}
}

// besiege is a wire with one bare peer.
func besiege(t *testing.T, n *bed.Net, v eth.Version, h *wiretest.Host) (*running, *bare) {
	t.Helper()
	r := start(t, n, 1, h)
	b := dialBare(t, n, 2, r)
	b.shake(t, v, r)
	time.Sleep(time.Second)
	return r, b
}

// drain reads until the link ends, and gives the reason of a Disconnect.
func (b *bare) drain(t *testing.T) (why base.Reason, told bool) {
	t.Helper()
	for {
		f, err := b.read(t)
		if err != nil {
			return why, told
		}
		if f.Code == base.DisconnectMsg {
			why, _ = base.DecodeDisconnect(f.Payload)
			told = true
		}
	}
}

func offenses(r *running) map[peer.Offense]int {
	out := map[peer.Offense]int{}
	for _, o := range wiretest.Reports[wire.Offended](r.host) {
		out[o.Offense]++
	}
	return out
}

func closedWith(t *testing.T, r *running, want peer.Reason) {
	t.Helper()
	time.Sleep(3 * time.Second)
	if c := wiretest.Reports[wire.Closed](r.host); len(c) != 1 || c[0].Reason != want {
		t.Errorf("Closed = %+v, want %s", c, want)
	}
}
