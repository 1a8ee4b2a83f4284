package devp2p

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// signerKey is that of the clique network's only signer.
const signerKey = 0x51617e

// TestOldGethFollowsOurSealer: geth 1.13.15, which never seals, follows a clique
// network whose only signer is a starling process, over that one's restart too.
func TestOldGethFollowsOurSealer(t *testing.T) {
	const blocks = 12
	g := startOld(t, 1)
	dir := steertest.ShortDir(t)
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "signer.key"), []byte(fmt.Sprintf("%064x\n", signerKey)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := daemonIn(t, dir, g.Genesis, fmt.Sprintf("static = [%q]", g.Enode), `signer_key = "keys/signer.key"`)
	g.Until("blocks of ours", func(e event) bool { return e.Event == "head" && e.Number >= blocks })
	if d := g.drops(); len(d) > 0 {
		t.Errorf("geth dropped us: %+v", d)
	}
	s.Stop() // geth hears why, or sees the connection's end first
	stood, _ := g.headOf(t)
	s = daemonIn(t, dir, g.Genesis, fmt.Sprintf("static = [%q]", g.Enode), `signer_key = "keys/signer.key"`)
	g.Until("blocks after the restart", func(e event) bool { return e.Event == "head" && e.Number >= stood.Number+3 })

	c, ctx := client(t, s)
	for number := range stood.Number + 4 {
		var ours, theirs struct{ Hash, Difficulty string }
		if err := c.CallContext(ctx, &ours, "eth_getBlockByNumber", fmt.Sprintf("%#x", number), false); err != nil {
			t.Fatal(err)
		}
		g.call(t, &theirs, "eth_getBlockByNumber", fmt.Sprintf("%#x", number), false)
		if ours != theirs || number > 0 && ours.Difficulty != "0x2" {
			t.Errorf("block %d is %+v, geth has %+v", number, ours, theirs)
		}
	}
	single := 0
	for _, e := range g.Events() {
		if e.Event == "head" {
			single++
		}
	}
	if d := g.drops(); len(d) > 1 {
		t.Errorf("geth dropped us not only when we stopped: %+v", d)
	}
	t.Logf("geth followed %d blocks that starling sealed, with %d changes of its head", stood.Number+3, single)
}

// TestOurBlocksGoInFullToTheRootAndByHashToTheRest: we seal, and four geths have us
// alone: of each block two get the whole, and two its hash, which they fetch.
func TestOurBlocksGoInFullToTheRootAndByHashToTheRest(t *testing.T) {
	const blocks = 8
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var geths []*gethNode
	for range 4 {
		geths = append(geths, startOld(t, 1))
	}
	var c ethereum.SealerConfig
	n := startStarlingAs(t, geths[0].Genesis, func(_ *starling.Config, f *ethereum.Family, l *ledger.Ledger) { c.Family, c.Chain = f, l })
	for _, g := range geths {
		if err := n.Client().Connect(ctx, g.Enode); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.Key, err = ethereum.ParseSealKey(fmt.Sprintf("%064x", signerKey)); err != nil {
		t.Fatal(err)
	}
	c.Submit = n.Client().SubmitBlock
	sealer, err := ethereum.NewSealer(c)
	if err != nil {
		t.Fatal(err)
	}
	sealing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- sealer.Run(sealing) }()
	all := func(number uint64) {
		t.Helper()
		for _, g := range geths {
			g.Until("a block", func(e event) bool { return e.Event == "head" && e.Number >= number })
		}
	}
	all(3) // from here on each of them takes part in gossip
	first := n.ledger.Status().Head.Number
	full, hashes := n.sent("new-block", false), n.sent("new-block-hashes", false)
	all(first + blocks)
	stop()
	<-done
	last := n.ledger.Status().Head.Number
	all(last)
	full, hashes = n.sent("new-block", false)-full, n.sent("new-block-hashes", false)-hashes
	t.Logf("of %d blocks %d went out in full and %d by hash", last-first, full, hashes)
	// One may have been under way when the count began, and the last may be yet.
	if least, most := 2*(last-first-1), 2*(last-first+1); full < least || full > most || hashes < least || hashes > most {
		t.Errorf("of %d blocks %d went in full and %d by hash, want two of each", last-first, full, hashes)
	}
	kept(t, geths, &pooled{node: n})
}
