package devp2p

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/p2p"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/devp2p/base"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// TestKeepAliveIsThatOfGeth compares our ping, and the pong that geth's ping
// gets, with what geth's own p2p.SendItems makes of them.
func TestKeepAliveIsThatOfGeth(t *testing.T) {
	theirs := map[uint64][]byte{}
	a, b := p2p.MsgPipe()
	for _, code := range []uint64{base.PingMsg, base.PongMsg} {
		go p2p.SendItems(a, code)
		m, err := b.ReadMsg()
		if err != nil || m.Code != code {
			t.Fatalf("geth sends %v, %v", m, err)
		}
		if theirs[code], err = io.ReadAll(m.Payload); err != nil {
			t.Fatal(err)
		}
		m.Discard()
	}
	a.Close()
	bubble(t, func(t *testing.T, n *bed.Net) {
		r, link := besiege(t, n, eth.V69, nil)
		link.send(t, base.PingMsg, theirs[base.PingMsg])
		seen := map[uint64]bool{}
		for len(seen) < 2 { // a ping of ours comes every few seconds
			f, err := link.Read(t.Context(), time.Minute)
			if err != nil {
				t.Fatalf("Read = %v; so far %v came", err, seen)
			}
			if want, ok := theirs[f.Code]; ok {
				if !bytes.Equal(f.Payload, want) {
					t.Errorf("message %d of ours is %x, geth's %x", f.Code, f.Payload, want)
				}
				seen[f.Code] = true
			}
			f.Release()
		}
		if o := offenses(r); len(o) > 0 {
			t.Errorf("charged with %v", o)
		}
		link.Close()
		r.stop(t)
	})
}
