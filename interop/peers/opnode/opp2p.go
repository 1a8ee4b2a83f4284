package opnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/ethereum-optimism/optimism/op-service/apis"
	"github.com/libp2p/go-libp2p/core/peer"
)

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
