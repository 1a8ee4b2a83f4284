package daemon

import (
	"net"
	"net/netip"
	"time"
)

// The shapes of op-node's opp2p namespace (op-service/apis/p2p.go,
// op-node/p2p/store/iface.go). Lists that are empty are null where they are in
// op-node.
type (
	// OPPeer answers opp2p_self, and is one entry of opp2p_peers.
	OPPeer struct {
		PeerID          string        `json:"peerID"`
		NodeID          string        `json:"nodeID"` // in hex without 0x
		UserAgent       string        `json:"userAgent"`
		ProtocolVersion string        `json:"protocolVersion"`
		ENR             string        `json:"ENR"`
		Addresses       []string      `json:"addresses"`
		Protocols       []string      `json:"protocols"`
		Connectedness   int           `json:"connectedness"` // 0: not connected, 1: connected
		Direction       int           `json:"direction"`     // 0: none, 1: inbound, 2: outbound
		Protected       bool          `json:"protected"`
		ChainID         uint64        `json:"chainID"`
		Latency         time.Duration `json:"latency"` // in nanoseconds
		GossipBlocks    bool          `json:"gossipBlocks"`
		Scores          OPScores      `json:"scores"`
	}
	// OPScores is what gossip and requests showed of a peer.
	OPScores struct {
		Gossip  OPGossip  `json:"gossip"`
		ReqResp OPReqResp `json:"reqResp"`
	}
	// OPGossip is what gossip showed.
	OPGossip struct {
		Total             float64 `json:"total"`
		Blocks            OPTopic `json:"blocks"`
		SharedAddress     float64 `json:"IPColocationFactor"`
		BehavioralPenalty float64 `json:"behavioralPenalty"`
	}
	// OPTopic is what the topics of blocks showed.
	OPTopic struct {
		TimeInMesh        float64 `json:"timeInMesh"` // in seconds
		FirstDeliveries   float64 `json:"firstMessageDeliveries"`
		MeshDeliveries    float64 `json:"meshMessageDeliveries"`
		InvalidDeliveries float64 `json:"invalidMessageDeliveries"`
	}
	// OPReqResp is what requests showed.
	OPReqResp struct {
		Valid    float64 `json:"validResponses"`
		Errors   float64 `json:"errorResponses"`
		Rejected float64 `json:"rejectedPayloads"`
	}
	// OPPeers answers opp2p_peers.
	OPPeers struct {
		TotalConnected int               `json:"totalConnected"`
		Peers          map[string]OPPeer `json:"peers"`
		BannedPeers    []string          `json:"bannedPeers"`
		BannedIPs      []netip.Addr      `json:"bannedIPS"`
		BannedSubnets  []OPSubnet        `json:"bannedSubnets"`
	}
	// OPPeerStats answers opp2p_peerStats.
	OPPeerStats struct {
		Connected     int `json:"connected"`
		Table         int `json:"table"`
		BlocksTopic   int `json:"blocksTopic"`
		BlocksTopicV2 int `json:"blocksTopicV2"`
		BlocksTopicV3 int `json:"blocksTopicV3"`
		BlocksTopicV4 int `json:"blocksTopicV4"`
		Banned        int `json:"banned"`
		Known         int `json:"known"`
	}
	// OPSubnet is a prefix of addresses, as Go's net.IPNet is in JSON: the mask
	// is in base64.
	OPSubnet struct {
		IP   net.IP
		Mask net.IPMask
	}
)

// subnetOf is the form of a prefix.
func subnetOf(p netip.Prefix) OPSubnet {
	return OPSubnet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefix reads what subnetOf wrote; false if it is no subnet.
func (s OPSubnet) prefix() (netip.Prefix, bool) {
	ip, ok := netip.AddrFromSlice(s.IP)
	ones, bits := s.Mask.Size() // 0 of 0: not ones before zeros
	if !ok || bits == 0 {
		return netip.Prefix{}, false
	}
	if ip = ip.Unmap(); ip.Is4() && bits == 128 { // ::ffff:0:0/96 and below
		ones, bits = ones-96, 32
	}
	p := netip.PrefixFrom(ip, ones).Masked()
	return p, p.IsValid() && bits == ip.BitLen()
}
