package opstack

import (
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threats G-09 and G-01: where the signer changed and we were not told, honest
// peers are not banned one after the other; where ours signs, forgers are.
func TestAStaleSignerBansNobody(t *testing.T) {
	inBubble(t, func(p *place) {
		h := &wiretest.Host{}
		w := p.wire(1, h)
		var publish []func([]byte)
		for i := range 3 {
			_, f := p.gossiper(2+i, w, h, codec.V4)
			publish = append(publish, f)
		}
		time.Sleep(30 * time.Second)
		n := uint64(0)
		theirs := func(from int) {
			n++
			e := envelopeOf(t, blockOf(n, 50))
			sig, err := keyOf(2).SignEnvelope(chainID, e)
			if err != nil {
				t.Fatal(err)
			}
			publish[from](codec.Compress(codec.Message(sig, e)))
			time.Sleep(2 * time.Second)
		}
		for i := range 12 {
			theirs(i % 3)
		}
		if got := offenses(h)[peer.InvalidGossip]; got != 2 {
			t.Errorf("%d charges, want those before the third peer", got)
		}
		if got := w.Verdicts()["signer-doubtful"]; got < 8 {
			t.Errorf("%d verdicts of signer-doubtful", got)
		}
		// A block of the signer that we know ends the doubt.
		b := blockOf(100, 50)
		publish[0](codec.Compress(codec.Message(b.Extra, envelopeOf(t, b))))
		p.until("its block", func() bool { return len(h.Checked()) > 0 }, h)
		if got := h.Checked()[0].Verdict.Action; got != chain.Accept {
			t.Fatal(got)
		}
		theirs(1)
		if got := offenses(h)[peer.InvalidGossip]; got != 3 {
			t.Errorf("%d charges, want one for the forger too", got)
		}
	})
}
