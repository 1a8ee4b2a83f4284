package opnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/ethereum-optimism/optimism/op-service/apis"
	"github.com/ethereum-optimism/optimism/op-service/client"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	opsigner "github.com/ethereum-optimism/optimism/op-service/signer"
	"github.com/ethereum-optimism/optimism/op-service/sources"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/libp2p/go-libp2p/core/peer"
)

// dial connects op-node's client. The URL may be the path of a socket; a token
// is sent as that of a bearer.
func dial(ctx context.Context, url, token string) (client.RPC, error) {
	var opts []client.RPCOption
	if token != "" {
		opts = append(opts, client.WithGethRPCOptions(rpc.WithHeader("Authorization", "Bearer "+token)))
	}
	return client.NewRPC(ctx, log.NewLogger(log.DiscardHandler()), url, opts...)
}

// post gives a block of the chain to another node over its RPC: signed, to be
// published, or, in the mode "unsafe", as it is.
func (n *node) post(ctx context.Context, url, token string, number uint64, mode string) error {
	conn, err := dial(ctx, url, token)
	if err != nil {
		return err
	}
	defer conn.Close()
	env := n.source.at(number)
	if mode == "unsafe" {
		return sources.NewRollupClient(conn).PostUnsafePayload(ctx, env)
	}
	ssz, err := encode(env)
	if err != nil {
		return err
	}
	chainID := eth.ChainIDFromUInt64(n.source.params.ID)
	sig, err := opsigner.NewLocalSigner(n.signer).SignBlockV1(ctx, chainID, opsigner.PayloadHash(ssz))
	if err != nil {
		return err
	}
	return sources.NewOPStackClient(conn).PublishBlock(ctx, &opsigner.SignedExecutionPayloadEnvelope{Envelope: env, Signature: sig})
}

// callAll calls what op-node's client can call, and gives each result or error.
func callAll(ctx context.Context, url, token string) (map[string]any, error) {
	conn, err := dial(ctx, url, token)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := sources.NewP2PClient(conn)
	out := map[string]any{}
	note := func(method string, v any, err error) {
		if err != nil {
			v = map[string]string{"error": err.Error()}
		}
		out[method] = v
	}
	self, err := c.Self(ctx)
	note("self", self, err)
	peers, err := c.Peers(ctx, true)
	note("peers", peers, err)
	stats, err := c.PeerStats(ctx)
	note("peerStats", stats, err)
	table, err := c.DiscoveryTable(ctx)
	note("discoveryTable", table, err)
	return out, mutate(ctx, c, note)
}

// mutate calls the methods that change something, and checks that the lists
// that the server gives follow.
func mutate(ctx context.Context, c apis.P2PClient, note func(string, any, error)) error {
	id, err := peer.Decode("16Uiu2HAm2eSCfd2UFfwAhsXwGuUPHqBD8rCn7Aedo3kwLFJx6DRF")
	if err != nil {
		return err
	}
	var errs []error
	expect := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	note("blockPeer", nil, c.BlockPeer(ctx, id))
	peers, err := c.ListBlockedPeers(ctx)
	note("listBlockedPeers", peers, err)
	expect(slices.Contains(peers, id), "the blocked peer is not listed")
	note("unblockPeer", nil, c.UnblockPeer(ctx, id))

	ip := net.ParseIP("203.0.113.7")
	note("blockAddr", nil, c.BlockAddr(ctx, ip))
	addrs, err := c.ListBlockedAddrs(ctx)
	note("listBlockedAddrs", addrs, err)
	expect(slices.ContainsFunc(addrs, ip.Equal), "the blocked address is not listed")
	note("unblockAddr", nil, c.UnblockAddr(ctx, ip))

	_, subnet, err := net.ParseCIDR("198.51.100.0/24")
	if err != nil {
		return err
	}
	note("blockSubnet", nil, c.BlockSubnet(ctx, subnet))
	subnets, err := c.ListBlockedSubnets(ctx)
	note("listBlockedSubnets", subnets, err)
	expect(slices.ContainsFunc(subnets, func(n *net.IPNet) bool { return n.String() == subnet.String() }), fmt.Sprintf("the blocked subnet is not listed: %v", subnets))
	note("unblockSubnet", nil, c.UnblockSubnet(ctx, subnet))

	note("protectPeer", nil, c.ProtectPeer(ctx, id))
	note("unprotectPeer", nil, c.UnprotectPeer(ctx, id))
	note("connectPeer", nil, c.ConnectPeer(ctx, "/ip4/127.0.0.1/tcp/1/p2p/"+id.String()))
	note("disconnectPeer", nil, c.DisconnectPeer(ctx, id))
	return errors.Join(errs...)
}
