package native

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libtls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// middle is a TCP proxy in this process, which sees and changes what passes.
type middle struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	sent  [2][]byte // of all connections: from the dialler, and from the listener
	flip  [2]int    // the byte of that direction to flip, counted from the first; below 0: none
}

const fromDialler, fromListener = 0, 1

func newMiddle(t *testing.T, to *running) *middle {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &middle{ln: ln, to: hostPort(t, to), flip: [2]int{-1, -1}}
	m.wg.Go(m.serve)
	t.Cleanup(func() {
		ln.Close()
		m.mu.Lock()
		for _, c := range m.conns {
			c.Close()
		}
		m.mu.Unlock()
		m.wg.Wait()
	})
	return m
}

// hostPort is where a wire listens over TCP.
func hostPort(t *testing.T, r *running) string {
	t.Helper()
	parts := strings.Split(r.Addrs()[0].Text, "/")
	if len(parts) < 5 || parts[3] != "tcp" {
		t.Fatalf("%s is no TCP address", r.Addrs()[0])
	}
	return net.JoinHostPort(parts[2], parts[4])
}

// addr is that of the wire behind, by way of the proxy.
func (m *middle) addr(t *testing.T, to *running) peer.Addr {
	t.Helper()
	a, err := to.ParseAddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", m.ln.Addr().(*net.TCPAddr).Port, to.Self()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (m *middle) serve() {
	for {
		in, err := m.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", m.to)
		if err != nil {
			in.Close()
			continue
		}
		m.mu.Lock()
		m.conns = append(m.conns, in, out)
		m.mu.Unlock()
		m.wg.Go(func() { m.pump(fromDialler, in, out) })
		m.wg.Go(func() { m.pump(fromListener, out, in) })
	}
}

func (m *middle) pump(dir int, from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			m.pass(dir, b[:n])
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass records bytes and flips the one that is marked.
func (m *middle) pass(dir int, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.flip[dir] - len(m.sent[dir])
	m.sent[dir] = append(m.sent[dir], b...)
	if m.flip[dir] >= 0 && at < len(b) {
		b[max(at, 0)] ^= 0x10
		m.flip[dir] = -1
	}
}

// arm flips the byte of a direction that is so far ahead.
func (m *middle) arm(dir, ahead int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flip[dir] = len(m.sent[dir]) + ahead
}

// disarm tells how much has passed.
func (m *middle) disarm() [2]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flip = [2]int{-1, -1}
	return [2]int{len(m.sent[0]), len(m.sent[1])}
}

func (m *middle) recorded(dir int) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.sent[dir])
}

// uncharged checks that nobody was charged and that the Hosts saw no broken
// promise.
func uncharged(t *testing.T, all ...*running) {
	t.Helper()
	for _, r := range all {
		if o := wiretest.Reports[wire.Offended](r.host); len(o) > 0 {
			t.Errorf("charged with %+v", o)
		}
		for _, err := range r.host.Wrong() {
			t.Error(err)
		}
	}
}

// overTCP is a config for one kind of security, or all of them.
func overTCP(security ...libp2p.Option) Config {
	cfg := loopback(false)
	cfg.NoDHT = true
	if len(security) > 0 {
		cfg.Libp2pOptions = append([]libp2p.Option{libp2p.Transport(tcp.NewTCPTransport)}, security...)
	}
	return cfg
}

// A byte that flips on the way, past TCP's checksum, ends the link. Nobody is
// charged, nothing wrong is taken in, and the next dial succeeds. Threat rows
// M-06, M-13.
func TestFlippedBytesEndTheLinkAndAreNobodysFault(t *testing.T) {
	for name, security := range map[string]libp2p.Option{"noise": libp2p.Security(noise.ID, noise.New), "tls": libp2p.Security(libtls.ID, libtls.New)} {
		for _, dir := range []int{fromDialler, fromListener} {
			for _, ahead := range []int{0, 1, 7, 333} {
				t.Run(fmt.Sprintf("%s/%d/%d", name, dir, ahead), func(t *testing.T) {
					t.Parallel()
					ctx := within(t, patience)
					want := bytes.Repeat([]byte("vote"), 2000)
					a, b := start(t, overTCP(security), &wiretest.Host{}), start(t, overTCP(security), &wiretest.Host{})
					m := newMiddle(t, b)
					if err := a.Dial(ctx, m.addr(t, b)); err != nil {
						t.Fatal(err)
					}
					m.arm(dir, ahead)
					// A flipped length is noticed when so many bytes have come: both talk.
					var talk sync.WaitGroup
					for _, r := range []*running{a, b} {
						for _, s := range r.host.Sessions() {
							talk.Go(func() {
								for ctx.Err() == nil && s.Send(ctx, wire.LaneConsensus, wire.Consensus{Bytes: want}) == nil {
								}
							})
						}
					}
					for _, r := range []*running{a, b} {
						if err := r.host.Until(ctx, func() bool { return len(wiretest.Reports[wire.Closed](r.host)) == 1 }); err != nil {
							t.Error("the link goes on")
						}
					}
					talk.Wait()
					m.disarm()
					if err := a.Dial(ctx, m.addr(t, b)); err != nil {
						t.Fatalf("the next dial: %v", err)
					}
					for _, r := range []*running{a, b} {
						for _, c := range r.host.Checked() {
							if got := c.Message.(wire.Consensus).Bytes; !bytes.Equal(got, want) {
								t.Errorf("a message of %d bytes was taken in, which nobody sent", len(got))
							}
						}
					}
					uncharged(t, a, b)
				})
			}
		}
	}
}

// A byte that flips while the link is made secure gives no session, and is
// nobody's fault. Threat row M-06.
func TestFlippedBytesInTheHandshakeGiveNoSession(t *testing.T) {
	noisy := libp2p.Security(noise.ID, noise.New)
	for _, dir := range []int{fromDialler, fromListener} {
		for _, at := range []int{45, 90, 200} {
			t.Run(fmt.Sprintf("%d/%d", dir, at), func(t *testing.T) {
				t.Parallel()
				ctx := within(t, patience)
				a, b := start(t, overTCP(noisy), &wiretest.Host{}), start(t, overTCP(noisy), &wiretest.Host{})
				m := newMiddle(t, b)
				m.arm(dir, at)
				if err := a.Dial(ctx, m.addr(t, b)); err == nil {
					t.Errorf("Dial = nil though byte %d was flipped", at)
				}
				if n := m.disarm(); n[dir] <= at {
					t.Fatalf("only %d bytes passed: nothing was flipped", n[dir])
				}
				if err := a.Dial(ctx, m.addr(t, b)); err != nil {
					t.Errorf("the next dial: %v", err)
				}
				uncharged(t, a, b)
			})
		}
	}
}

// Who offers no encryption gets no session, whichever side dials, and no node
// goes without it. Threat row H-13.
func TestPlaintextIsRefused(t *testing.T) {
	ctx := within(t, patience)
	a := start(t, loopback(false), &wiretest.Host{})
	h, err := libp2p.New(libp2p.NoSecurity, libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	info, err := libpeer.AddrInfoFromString(a.Addrs()[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(ctx, *info); err == nil {
		t.Error("a connection without encryption was accepted")
	}
	to, err := a.ParseAddr(fmt.Sprintf("%s/p2p/%s", h.Addrs()[0], h.ID()))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Dial(ctx, to); !isReason(err, peer.HandshakeFailed) {
		t.Errorf("Dial of a peer without encryption = %v, want %s", err, peer.HandshakeFailed)
	}
	if n := len(a.host.Opened()); n != 0 {
		t.Errorf("%d sessions without encryption", n)
	}
	uncharged(t, a)
}

// hangsUp sends bytes to a listener and waits until it hangs up.
func hangsUp(t *testing.T, to *running, sent []byte) {
	t.Helper()
	c, err := net.Dial("tcp", hostPort(t, to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience)) // far over what a handshake may take
	c.Write(sent)                           // it may hang up before it has read all
	if _, err := io.Copy(io.Discard, c); p2phost.IsTimeout(err) {
		t.Errorf("the listener holds a connection of %d strange bytes", len(sent))
	}
}

// Bytes that are no handshake end the connection, and nothing else. Threat row
// H-13.
func TestRandomBytesAreNoHandshake(t *testing.T) {
	a, b := start(t, loopback(false), &wiretest.Host{}), start(t, loopback(false), &wiretest.Host{})
	var wg sync.WaitGroup
	for _, prefix := range []string{"", "\x13/multistream/1.0.0\n", "\x13/multistream/1.0.0\n\x07/noise\n", "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n", "\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n", "GET / HTTP/1.1\r\n\r\n"} {
		wg.Go(func() {
			noise := make([]byte, 32<<10)
			rand.NewChaCha8([32]byte{byte(len(prefix))}).Read(noise)
			hangsUp(t, a, append([]byte(prefix), noise...))
		})
	}
	wg.Wait()
	if n := len(a.host.Opened()); n != 0 {
		t.Errorf("%d sessions came of strange bytes", n)
	}
	if err := b.Dial(within(t, patience), a.Addrs()[0]); err != nil {
		t.Errorf("an honest dial afterwards: %v", err)
	}
	uncharged(t, a, b)
}

// Who recorded a whole session, its handshake and all, and plays it again to
// the listener or to the dialler, gets nothing. Threat row H-10.
func TestReplayedHandshakesFail(t *testing.T) {
	for name, security := range map[string]libp2p.Option{"noise": libp2p.Security(noise.ID, noise.New), "tls": libp2p.Security(libtls.ID, libtls.New)} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, patience)
			a, b := start(t, overTCP(security), &wiretest.Host{}), start(t, overTCP(security), &wiretest.Host{})
			m := newMiddle(t, b)
			if err := a.Dial(ctx, m.addr(t, b)); err != nil {
				t.Fatal(err)
			}
			if err := a.host.Session(b.Self()).Send(ctx, wire.LaneConsensus, wire.Consensus{Bytes: []byte("vote")}); err != nil {
				t.Fatal(err)
			}
			if err := b.host.Until(ctx, func() bool { return len(b.host.Checked()) == 1 }); err != nil {
				t.Fatal("the message did not arrive")
			}
			a.host.Session(b.Self()).Close(peer.Requested)
			for _, r := range []*running{a, b} {
				if err := r.host.Until(ctx, func() bool { return len(r.host.Sessions()) == 0 }); err != nil {
					t.Fatal("the session did not end")
				}
			}

			hangsUp(t, b, m.recorded(fromDialler))
			if n := len(b.host.Opened()); n != 1 {
				t.Errorf("%d sessions at the listener after the replay, want the one before it", n)
			}
			if n := len(b.host.Checked()); n != 1 {
				t.Errorf("%d messages were taken in, want the one before the replay", n)
			}

			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				c.Write(m.recorded(fromListener))
				io.Copy(io.Discard, c)
			})
			fake, err := a.ParseAddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", ln.Addr().(*net.TCPAddr).Port, b.Self()))
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Dial(ctx, fake); err == nil {
				t.Error("a dial to who plays recorded bytes succeeded")
			}
			if n := len(a.host.Opened()); n != 1 {
				t.Errorf("%d sessions at the dialler after the replay, want the one before it", n)
			}
			uncharged(t, a, b)
		})
	}
}
