package ontology

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// running is a wire that runs in the bed.
type running struct {
	*Wire
	host *wiretest.Host
	stop func()
}

// inBed runs a test with a network in a bubble.
func inBed(t *testing.T, f func(t *testing.T, n *bed.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := bed.NewNet(bed.Config{Link: bed.Link{Latency: 10 * time.Millisecond}})
		defer n.Close()
		f(t, n)
	})
}

func start(t *testing.T, n *bed.Net, i uint64, h *wiretest.Host, change func(*Config)) *running {
	t.Helper()
	c := configOf(n, i)
	if change != nil {
		change(&c)
	}
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		h = &wiretest.Host{}
	}
	stop := wiretest.Start(t, w, h)
	r := &running{Wire: w, host: h, stop: sync.OnceFunc(func() {
		stop()
		for _, err := range h.Wrong() {
			t.Error(err)
		}
	})}
	t.Cleanup(r.stop)
	return r
}

// until waits for a condition on what a host recorded.
func until(t *testing.T, h *wiretest.Host, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Until(ctx, cond); err != nil {
		t.Fatalf("there was not %s: %v", what, err)
	}
}

// old is a peer below the wire: it speaks frames, as v1.0.0 does.
type old struct {
	net.Conn
	t     *testing.T
	nonce uint64
}

func call(t *testing.T, n *bed.Net, from netip.Addr, to string) *old {
	t.Helper()
	c, err := n.Host(from).Dial(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &old{Conn: c, t: t, nonce: 42}
}

func (o *old) send(c codec.Command, payload []byte) {
	b, err := codec.AppendFrame(nil, 299, c, payload)
	if err != nil {
		o.t.Error(err)
	}
	o.Write(b)
}

// read gives the next message; false at the end of the link.
func (o *old) read() (codec.Command, []byte, bool) {
	head := make([]byte, codec.HeadSize)
	if _, err := io.ReadFull(o, head); err != nil {
		return 0, nil, false
	}
	h, err := codec.DecodeHead(head, 299)
	if err != nil {
		o.t.Error(err)
		return 0, nil, false
	}
	body := make([]byte, h.Size)
	if _, err := io.ReadFull(o, body); err != nil {
		return 0, nil, false
	}
	return h.Command, body, true
}

// wants reads until a message of that kind comes.
func (o *old) wants(c codec.Command) []byte {
	o.t.Helper()
	for {
		got, body, ok := o.read()
		if !ok {
			o.t.Fatalf("the link ended before %s came", c)
		}
		if got == c {
			return body
		}
	}
}

// closed reads to the end of the link, and gives how long that took.
func (o *old) closed() time.Duration {
	start := time.Now()
	for {
		if _, _, ok := o.read(); !ok {
			return time.Since(start)
		}
	}
}

// shakes makes a session, as v1.0.0 that dials.
func (o *old) shakes(change func(*codec.Version)) *old {
	o.t.Helper()
	v := codec.Version{Services: 2, SyncPort: 20338, Nonce: o.nonce, Height: 3, Relay: true}
	if change != nil {
		change(&v)
	}
	o.send(codec.CmdVersion, v.Append(nil))
	o.wants(codec.CmdVersion)
	o.send(codec.CmdVerAck, codec.VerAck{Consensus: v.Consensus}.Append(nil))
	o.wants(codec.CmdVerAck)
	return o
}

// stuck is a check that blocks until release is closed.
func stuck(release <-chan struct{}) func(context.Context, wire.Session, wire.Message) chain.Verdict {
	return func(ctx context.Context, _ wire.Session, _ wire.Message) chain.Verdict {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return chain.Ignored("stuck")
	}
}

// bulk serves one large block, and a header of it, for whatever is asked.
func bulk(b chain.Block) func(context.Context, wire.Session, wire.Request) (wire.Response, error) {
	return func(_ context.Context, _ wire.Session, r wire.Request) (wire.Response, error) {
		if _, ok := r.(wire.GetHeaders); ok {
			return wire.Headers{Headers: []chain.Header{b.Header}}, nil
		}
		return wire.Blocks{Blocks: []chain.Block{b}}, nil
	}
}
