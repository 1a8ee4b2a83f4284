package devp2p

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// payloadStatus is PayloadStatusV1 as geth's own types write it.
type payloadStatus struct {
	Status          string  `json:"status"`
	LatestValidHash *string `json:"latestValidHash"`
	ValidationError *string `json:"validationError"`
}

type forkchoice struct {
	PayloadStatus payloadStatus `json:"payloadStatus"`
	PayloadID     *string       `json:"payloadId"`
}

// driven is what our Engine API answers geth's own client.
type driven struct {
	Capabilities []string `json:"capabilities"`
	Client       []struct {
		Code, Name string
	} `json:"client"`
	Payload    payloadStatus `json:"payload"`
	Wrong      payloadStatus `json:"wrong"`
	Forkchoice forkchoice    `json:"forkchoice"`
	Building   forkchoice    `json:"building"`
}

// drive has geth be the consensus client of a starling: with its own RPC client,
// tokens and types it hands over a block of the chain and names it as the head.
func (g *gethNode) drive(t *testing.T, s *steertest.Starling, number uint64) driven {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(s.Dir, "keys", "jwt.hex"))
	if err != nil {
		t.Fatal(err)
	}
	var d driven
	g.Do(map[string]any{"do": "drive", "addr": s.Engine, "number": number, "params": strings.TrimSpace(string(secret))}, &d)
	return d
}

// TestAConsensusClientDrivesUs: a starling process that has nothing syncs
// backwards from geth since an Engine API call named its head, and follows as
// the next ones name others; before and after the forks that changed the
// payloads. Nothing is ever VALID, and no block is built.
func TestAConsensusClientDrivesUs(t *testing.T) {
	blocks, _ := size()
	for _, fork := range []struct {
		name  string
		forks []string
		v     int
	}{{"Paris", nil, 1}, {"Prague", []string{"shanghai", "cancun", "prague"}, 4}} {
		t.Run(fork.name, func(t *testing.T) {
			more := map[string]any{}
			for _, name := range fork.forks {
				more[name] = genesisTime
			}
			full := startGethAt(t, 69, blocks, ip(), more)
			s := daemonIn(t, steertest.ShortDir(t), full.Genesis, fmt.Sprintf("static = [%q]", full.Enode), `engine_listen = "127.0.0.1:0"`)
			full.Until("a peer", func(e event) bool { return e.Event == "peer" && e.What == "add" })

			full.block(t, blocks+3) // all that are named below are made here, which takes geth a while
			start := time.Now()
			d := full.drive(t, s, blocks)
			method := fmt.Sprintf("engine_newPayloadV%d", fork.v)
			if !slices.Contains(d.Capabilities, method) || len(d.Client) != 1 || d.Client[0].Name != "Starling" || len(d.Client[0].Code) != 2 {
				t.Errorf("capabilities %v, client %v", d.Capabilities, d.Client)
			}
			for name, st := range map[string]payloadStatus{"payload": d.Payload, "fork choice": d.Forkchoice.PayloadStatus, "one that asks for a block": d.Building.PayloadStatus} {
				if st.Status != "SYNCING" || st.LatestValidHash != nil {
					t.Errorf("%s: %+v, want SYNCING", name, st)
				}
			}
			if d.Wrong.Status != "INVALID" || d.Wrong.LatestValidHash != nil || d.Wrong.ValidationError == nil || !strings.Contains(*d.Wrong.ValidationError, "blockHash") {
				t.Errorf("a payload whose hash is not its own: %+v, want INVALID", d.Wrong)
			}
			if d.Forkchoice.PayloadID != nil || d.Building.PayloadID != nil {
				t.Errorf("a block is built: %+v, %+v", d.Forkchoice, d.Building)
			}
			reach(t, s, blocks)
			took := time.Since(start)
			t.Logf("%d blocks backwards from the head that %s named, in %v: %.0f blocks/s", blocks, method, took.Round(time.Millisecond), float64(blocks)/took.Seconds())

			c, ctx := client(t, s)
			for n := blocks + 1; n <= blocks+3; n++ {
				full.Do(map[string]any{"do": "extend", "number": n}, nil)
				start := time.Now()
				if d := full.drive(t, s, n); d.Forkchoice.PayloadStatus.Status != "SYNCING" {
					t.Errorf("block %d: %+v", n, d.Forkchoice)
				}
				reach(t, s, n)
				want, _ := full.block(t, n)
				h, err := ethclient.NewClient(c).HeaderByNumber(ctx, nil)
				if err != nil || h.Hash().Hex() != want.Hash.String() {
					t.Errorf("our head is %v, %v; want %v", h, err, want)
				}
				t.Logf("block %d is our head %v after it was named", n, time.Since(start).Round(time.Millisecond))
			}
			if d := full.drops(); len(d) > 0 {
				t.Errorf("geth dropped us: %+v", d)
			}
		})
	}
}
