package devp2p

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

// call asks geth's own RPC.
func (g *gethNode) call(t *testing.T, result any, method string, args ...any) {
	t.Helper()
	g.Do(map[string]any{"do": "call", "params": map[string]any{"method": method, "args": args}}, result)
}

// client is geth's RPC client on a node's socket.
func client(t *testing.T, s *steertest.Starling) (*rpc.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c, err := rpc.DialContext(ctx, s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, ctx
}

// reach waits until a node's head is at least a number.
func reach(t *testing.T, s *steertest.Starling, number uint64) {
	t.Helper()
	c, ctx := client(t, s)
	heads := make(chan struct{ Number uint64 }, 1024)
	sub, err := c.Subscribe(ctx, "starling", heads, "heads")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	at, err := ethclient.NewClient(c).BlockNumber(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for at < number {
		select {
		case h := <-heads:
			at = h.Number
		case <-ctx.Done():
			t.Fatalf("the head is %d, want %d", at, number)
		}
	}
}

// TestBlocksAreShownAsGethShowsThem compares what both say of each block, by
// number and by hash, with hashes and with whole transactions.
func TestBlocksAreShownAsGethShowsThem(t *testing.T) {
	const blocks = 6
	for _, release := range []string{newest, old} {
		t.Run(release, func(t *testing.T) {
			var g *gethNode
			more := ""
			if release == newest {
				g = startGeth(t, 70, blocks)
				target, _ := g.block(t, blocks)
				more = fmt.Sprintf("target = \"%d:%v\"\n", target.Number, target.Hash)
			} else {
				g = startOld(t, 1)
				g.Do(map[string]any{"do": "send", "count": 3}, nil) // they are in the first blocks
				g.Do(map[string]any{"do": "seal"}, nil)
				g.Until("blocks", func(e event) bool { return e.Event == "head" && e.Number >= blocks })
				g.rest()
			}
			s := daemonIn(t, steertest.ShortDir(t), g.Genesis, more+fmt.Sprintf("static = [%q]", g.Enode), "")
			reach(t, s, blocks)
			c, ctx := client(t, s)
			txs := 0
			for number := range blocks + 1 {
				var short map[string]any
				for _, full := range []bool{true, false} {
					var ours, theirs, byHash map[string]any
					g.call(t, &theirs, "eth_getBlockByNumber", fmt.Sprintf("%#x", number), full)
					if err := c.CallContext(ctx, &ours, "eth_getBlockByNumber", fmt.Sprintf("%#x", number), full); err != nil {
						t.Fatal(err)
					}
					if err := c.CallContext(ctx, &byHash, "eth_getBlockByHash", theirs["hash"], full); err != nil {
						t.Fatal(err)
					}
					if release == old { // which does not tell it yet
						for _, tx := range ours["transactions"].([]any) {
							if tx, ok := tx.(map[string]any); ok && tx["blockTimestamp"] == ours["timestamp"] {
								delete(tx, "blockTimestamp")
							}
						}
						for _, tx := range byHash["transactions"].([]any) {
							if tx, ok := tx.(map[string]any); ok {
								delete(tx, "blockTimestamp")
							}
						}
					}
					if !reflect.DeepEqual(ours, theirs) || !reflect.DeepEqual(byHash, theirs) {
						t.Errorf("block %d is shown as\n%v, by its hash\n%v, geth shows\n%v", number, ours, byHash, theirs)
					}
					short = ours
				}
				txs += len(short["transactions"].([]any))
			}
			if txs == 0 {
				t.Error("no transaction was compared")
			}
			t.Logf("%d blocks with %d transactions are shown as geth %s shows them", blocks+1, txs, release)
		})
	}
}

// TestGethsClientDrivesAnEthereumNode: ethclient and geth's types of the admin
// namespace, on a node that has a geth for a peer; what the client sends reaches
// geth's pool.
func TestGethsClientDrivesAnEthereumNode(t *testing.T) {
	const blocks = 3
	g := startGeth(t, 69, blocks)
	g.Do(map[string]any{"do": "synced"}, nil)
	target, _ := g.block(t, blocks)
	s := daemonIn(t, steertest.ShortDir(t), g.Genesis, fmt.Sprintf("target = \"%d:%v\"\n", target.Number, target.Hash), "")
	c, ctx := client(t, s)
	events := make(chan *p2p.PeerEvent, 16)
	sub, err := c.Subscribe(ctx, "admin", events, "peerEvents")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	var done bool
	if err := c.CallContext(ctx, &done, "admin_addPeer", g.Enode); err != nil || !done {
		t.Fatalf("admin_addPeer: %v", err)
	}
	var theirs, ours p2p.NodeInfo
	g.call(t, &theirs, "admin_nodeInfo")
	select {
	case ev := <-events:
		if ev.Type != p2p.PeerEventTypeAdd || ev.Peer.String() != theirs.ID {
			t.Errorf("the event is %+v, geth is %s", ev, theirs.ID)
		}
	case <-ctx.Done():
		t.Fatal("no event")
	}
	reach(t, s, blocks)

	if err := c.CallContext(ctx, &ours, "admin_nodeInfo"); err != nil {
		t.Fatal(err)
	}
	own, _ := ours.Protocols["eth"].(map[string]any)
	theirEth, _ := theirs.Protocols["eth"].(map[string]any)
	if !reflect.DeepEqual(own, theirEth) || own == nil {
		t.Errorf("admin_nodeInfo shows eth as %v, geth as %v", own, theirEth)
	}
	var peersOfOurs, peersOfGeth []*p2p.PeerInfo
	if err := c.CallContext(ctx, &peersOfOurs, "admin_peers"); err != nil {
		t.Fatal(err)
	}
	g.call(t, &peersOfGeth, "admin_peers")
	if len(peersOfOurs) != 1 || len(peersOfGeth) != 1 || peersOfOurs[0].ID != theirs.ID || peersOfGeth[0].ID != ours.ID {
		t.Fatalf("our peers are %+v, geth's %+v", peersOfOurs, peersOfGeth)
	}
	mine, _ := peersOfOurs[0].Protocols["eth"].(map[string]any)
	if want := map[string]any{"version": 69.0, "earliestBlock": 0.0, "latestBlock": float64(blocks), "latestBlockHash": target.Hash.String()}; !reflect.DeepEqual(mine, want) {
		t.Errorf("admin_peers shows geth as %v, want %v", mine, want)
	}

	e := ethclient.NewClient(c)
	id, err := e.ChainID(ctx)
	if err != nil || id.Uint64() != chainID {
		t.Errorf("the chain is %v, %v", id, err)
	}
	if id, err = e.NetworkID(ctx); err != nil || id.Uint64() != chainID {
		t.Errorf("the network is %v, %v", id, err)
	}
	if p, err := e.SyncProgress(ctx); p != nil || err != nil {
		t.Errorf("a sync that is over: %+v, %v", p, err)
	}
	b, err := e.BlockByNumber(ctx, nil)
	if err != nil || chain.Hash(b.Hash()) != target.Hash || len(b.Transactions()) == 0 {
		t.Fatalf("the head is %v, %v", b, err)
	}
	h, err := e.HeaderByHash(ctx, b.ParentHash())
	if err != nil || h.Number.Uint64() != blocks-1 {
		t.Errorf("its parent is %v, %v", h, err)
	}
	if _, err := e.BlockByNumber(ctx, big.NewInt(blocks+1)); err == nil {
		t.Error("there is a block above the head")
	}
	key, err := crypto.HexToECDSA(faucet)
	if err != nil {
		t.Fatal(err)
	}
	_, txs := size()
	tx := types.MustSignNewTx(key, types.LatestSignerForChainID(big.NewInt(chainID)), &types.DynamicFeeTx{
		ChainID: big.NewInt(chainID), Nonce: uint64(blocks * txs), To: &common.Address{0xbb}, Value: big.NewInt(1), Gas: 21000,
		GasFeeCap: big.NewInt(3e9), GasTipCap: big.NewInt(1e9),
	})
	if err := e.SendTransaction(ctx, tx); err != nil {
		t.Fatal(err)
	}
	if err := e.SendTransaction(ctx, tx); err == nil || err.Error() != "already known" {
		t.Errorf("the same again: %v", err)
	}
	g.Until("our transaction", func(e event) bool { return e.Event == "txs" })
	var pool map[string]string
	if err := c.CallContext(ctx, &pool, "txpool_status"); err != nil || !reflect.DeepEqual(pool, map[string]string{"pending": "0x1", "queued": "0x0"}) {
		t.Errorf("txpool_status gave %v, %v", pool, err)
	}
	var found json.RawMessage
	g.call(t, &found, "eth_getTransactionByHash", tx.Hash())
	if len(found) < 10 {
		t.Errorf("geth does not have it: %s", found)
	}
}
