package rpc

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/rpc"
)

// peerEvent is geth's p2p.PeerEvent, but for the type of Peer: that of geth
// takes the 32 bytes of an enode id only, and a node of the native wire has an
// identity of libp2p.
type peerEvent struct {
	Type          p2p.PeerEventType `json:"type"`
	Peer          string            `json:"peer"`
	Error         string            `json:"error,omitempty"`
	LocalAddress  string            `json:"local,omitempty"`
	RemoteAddress string            `json:"remote,omitempty"`
}

// transports are the ways to a node.
func transports(n *node) map[string]string {
	return map[string]string{"http": n.RPC, "ws": "ws" + strings.TrimPrefix(n.RPC, "http"), "ipc": n.Socket}
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// dial opens geth's client, with the node's token if auth is set.
func dial(t *testing.T, n *node, url string, auth bool) *rpc.Client {
	t.Helper()
	var opts []rpc.ClientOption
	if auth {
		opts = append(opts, rpc.WithHeader("Authorization", "Bearer "+n.Token(t)))
	}
	c, err := rpc.DialOptions(within(t), url, opts...)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	t.Cleanup(c.Close)
	return c
}

// geth's client drives net_*, admin_* and the subscription to peer events, over
// each transport.
func TestGethsClientDrivesANode(t *testing.T) {
	a := sequencer(t)
	for _, name := range []string{"http", "ws", "ipc"} {
		t.Run(name, func(t *testing.T) {
			b := follower(t, a)
			c, ctx := dial(t, b, transports(b)[name], name != "ipc"), within(t)
			call := func(method string, result any, args ...any) {
				t.Helper()
				if err := c.CallContext(ctx, result, method, args...); err != nil {
					t.Fatalf("%s: %v", method, err)
				}
			}
			describes(t, call, c, b)

			// What the client cannot do over HTTP is watched over the socket.
			watch := c
			if name == "http" {
				if _, err := c.Subscribe(ctx, "admin", make(chan peerEvent), "peerEvents"); !errors.Is(err, rpc.ErrNotificationsUnsupported) {
					t.Errorf("a subscription over HTTP: %v", err)
				}
				watch = dial(t, b, b.Socket, false)
			}
			events := make(chan peerEvent, 16)
			sub, err := watch.Subscribe(ctx, "admin", events, "peerEvents")
			if err != nil {
				t.Fatal(err)
			}
			next := func(typ p2p.PeerEventType) peerEvent {
				t.Helper()
				select {
				case ev := <-events:
					if ev.Type != typ || ev.Peer != a.ID {
						t.Errorf("the event is %+v, want %s of %s", ev, typ, a.ID)
					}
					return ev
				case err := <-sub.Err():
					t.Fatalf("the subscription ended: %v", err)
				case <-ctx.Done():
					t.Fatalf("no event %s", typ)
				}
				return peerEvent{}
			}
			var done bool
			call("admin_addPeer", &done, a.Addrs[0])
			if ev := next(p2p.PeerEventTypeAdd); !done || ev.RemoteAddress == "" {
				t.Errorf("admin_addPeer gave %v, and %+v", done, ev)
			}
			var count hexutil.Uint
			call("net_peerCount", &count)
			var peers []*p2p.PeerInfo
			call("admin_peers", &peers)
			if count != 1 || len(peers) != 1 {
				t.Fatalf("%d peers, %+v", count, peers)
			}
			if p := peers[0]; p.ID != a.ID || !strings.HasPrefix(p.Name, "starling/") || !p.Network.Static || p.Network.Inbound || p.Network.RemoteAddress == "" || p.Protocols["native"] == nil {
				t.Errorf("the peer is %+v", p)
			}
			call("admin_addTrustedPeer", &done, a.Addrs[0])
			call("admin_peers", &peers)
			if !done || len(peers) != 1 || !peers[0].Network.Trusted {
				t.Errorf("after admin_addTrustedPeer: %v, %+v", done, peers)
			}
			call("admin_removeTrustedPeer", &done, a.Addrs[0])
			call("admin_removePeer", &done, a.Addrs[0])
			if ev := next(p2p.PeerEventTypeDrop); !done || ev.Error == "" {
				t.Errorf("admin_removePeer gave %v, and %+v", done, ev)
			}
			sub.Unsubscribe()
			batchesAndCrowds(t, c)
		})
	}
}

// describes checks what a node says of itself.
func describes(t *testing.T, call func(string, any, ...any), c *rpc.Client, n *node) {
	t.Helper()
	var version, client, datadir string
	var listening bool
	call("net_version", &version)
	call("net_listening", &listening)
	call("web3_clientVersion", &client)
	call("admin_datadir", &datadir)
	if version == "" || strings.Trim(version, "0123456789") != "" || listening || !strings.HasPrefix(client, "starling/") || datadir != n.Dir {
		t.Errorf("net_version %q, net_listening %v, web3_clientVersion %q, admin_datadir %q", version, listening, client, datadir)
	}
	modules, err := c.SupportedModules()
	if err != nil || modules["net"] != "1.0" || modules["admin"] != "1.0" || modules["web3"] != "1.0" {
		t.Errorf("the modules are %v, %v", modules, err)
	}
	var info p2p.NodeInfo
	call("admin_nodeInfo", &info)
	if info.ID != n.ID || info.Name != client || info.Protocols["native"] == nil {
		t.Errorf("admin_nodeInfo gave %+v", info)
	}
}

// batchesAndCrowds checks calls in one message, and many at once.
func batchesAndCrowds(t *testing.T, c *rpc.Client) {
	t.Helper()
	ctx := within(t)
	var listening bool
	var version string
	batch := []rpc.BatchElem{
		{Method: "net_listening", Result: &listening},
		{Method: "net_nothing", Result: new(bool)},
		{Method: "net_version", Result: &version},
	}
	if err := c.BatchCallContext(ctx, batch); err != nil || batch[0].Error != nil || batch[2].Error != nil || version == "" {
		t.Errorf("a batch: %v, %+v", err, batch)
	}
	var own rpc.Error
	if !errors.As(batch[1].Error, &own) || own.ErrorCode() != -32601 {
		t.Errorf("a method that is none: %v", batch[1].Error)
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			var v string
			if err := c.CallContext(ctx, &v, "net_version"); err != nil || v != version {
				t.Errorf("net_version gave %q, %v", v, err)
			}
		})
	}
	wg.Wait()
}

// Without the token geth's client reads, and changes nothing.
func TestGethsClientWithoutTheTokenReads(t *testing.T) {
	a := sequencer(t)
	for _, name := range []string{"http", "ws"} {
		c, ctx := dial(t, a, transports(a)[name], false), within(t)
		var count hexutil.Uint
		if err := c.CallContext(ctx, &count, "net_peerCount"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := c.CallContext(ctx, nil, "admin_addPeer", a.Addrs[0])
		var status rpc.HTTPError
		var own rpc.Error
		if name == "http" && (!errors.As(err, &status) || status.StatusCode != http.StatusUnauthorized) ||
			name == "ws" && (!errors.As(err, &own) || own.ErrorCode() != -32010) {
			t.Errorf("%s: admin_addPeer gave %v", name, err)
		}
	}
	if _, err := rpc.DialOptions(within(t), transports(a)["ws"], rpc.WithHeader("Origin", "https://evil.example.org")); err == nil {
		t.Error("a web page of another origin opened a WebSocket")
	}
}

// A subscription ends when its node does.
func TestASubscriptionEndsWithItsNode(t *testing.T) {
	a := sequencer(t)
	c := dial(t, a, transports(a)["ws"], false)
	sub, err := c.Subscribe(within(t), "starling", make(chan map[string]any, 1024), "blocks")
	if err != nil {
		t.Fatal(err)
	}
	a.Stop()
	select {
	case <-sub.Err():
	case <-within(t).Done():
		t.Error("it goes on")
	}
}
