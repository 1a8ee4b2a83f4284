package devp2p

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// TestOldGethFollowsOurSealer: geth 1.13.15, which never seals, follows a clique
// network whose only signer is a starling process, over that one's restart too.
func TestOldGethFollowsOurSealer(t *testing.T) {
	const blocks = 12
	g := startOld(t, 1)
	dir := steertest.ShortDir(t)
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "signer.key"), []byte(fmt.Sprintf("%064x\n", 0x51617e)), 0o600); err != nil {
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
