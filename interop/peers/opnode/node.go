package opnode

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/ethereum-optimism/optimism/op-node/metrics"
	"github.com/ethereum-optimism/optimism/op-node/p2p"
	"github.com/ethereum-optimism/optimism/op-service/clock"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	opsigner "github.com/ethereum-optimism/optimism/op-service/signer"
	"github.com/ethereum/go-ethereum/common"
	gethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/enode"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// node is op-node's P2P stack, running.
type node struct {
	p2p    *p2p.NodeP2P
	source *source
	signer *ecdsa.PrivateKey
	emit   func(any)
	meshes *meshes
}

// GossipRuntimeConfig: the signer never changes here.
func (n *node) P2PSequencerAddress() common.Address {
	return gethcrypto.PubkeyToAddress(n.signer.PublicKey)
}
func (n *node) PreviousP2PSequencerAddress() common.Address { return common.Address{} }
func (n *node) ConfirmCurrentSigner()                       {}

// OnUnsafeL2Payload implements p2p.GossipIn.
func (n *node) OnUnsafeL2Payload(_ context.Context, from peer.ID, env *eth.ExecutionPayloadEnvelope) error {
	p := env.ExecutionPayload
	n.emit(Event{Event: "payload", Peer: from.String(), Number: uint64(p.BlockNumber), Hash: p.BlockHash.Hex()})
	return nil
}

// Run starts it.
func Run(ctx context.Context, params json.RawMessage, emit func(any)) (steer.Peer, any, error) {
	var s Start
	if err := json.Unmarshal(params, &s); err != nil {
		return nil, nil, err
	}
	n, ready, err := start(ctx, s, emit)
	if err != nil {
		return nil, nil, err
	}
	return n, ready, nil
}

// Close implements steer.Peer.
func (n *node) Close() error { return n.p2p.Close() }

func start(ctx context.Context, s Start, emit func(any)) (*node, Ready, error) {
	key, err := hostKey(s.Key)
	if err != nil {
		return nil, Ready{}, err
	}
	signer, err := gethcrypto.HexToECDSA(s.SignerKey)
	if err != nil {
		return nil, Ready{}, fmt.Errorf("signer_key: %w", err)
	}
	n := &node{source: &source{params: s.Chain, serve: s, served: map[uint64]int{}}, signer: signer, emit: emit, meshes: &meshes{with: map[string]map[string]bool{}}}
	cfg := s.Chain.config()
	scoring, err := p2p.GetScoringParams("light", cfg.BlockTime)
	if err != nil {
		return nil, Ready{}, err
	}
	or := func(n, byDefault uint) uint {
		if n == 0 {
			return byDefault
		}
		return n
	}
	conf := &p2p.Config{
		Priv: key, NoDiscovery: !s.Discovery, ScoringParams: scoring,
		BanningEnabled: true, BanningThreshold: -100, BanningDuration: time.Hour,
		ListenIP: net.ParseIP(s.Listen), AdvertiseIP: net.ParseIP(s.Listen),
		HostMux: []libp2p.Option{p2p.YamuxC(), p2p.MplexC()}, HostSecurity: []libp2p.Option{p2p.NoiseC()},
		PeersLo: or(s.PeersLo, 20), PeersHi: or(s.PeersHi, 30), PeersGrace: 30 * time.Second,
		MeshD: p2p.DefaultMeshD, MeshDLo: p2p.DefaultMeshDlo, MeshDHi: p2p.DefaultMeshDhi, MeshDLazy: p2p.DefaultMeshDlazy,
		GossipTimestampThreshold: time.Minute, UserAgent: "optimism",
		TimeoutNegotiation: 10 * time.Second, TimeoutAccept: 10 * time.Second, TimeoutDial: 10 * time.Second,
		Store: dssync.MutexWrap(ds.NewMapDatastore()), EnableReqRespSync: true, EnablePingService: true,
	}
	if s.Security == "tls" {
		conf.HostSecurity = []libp2p.Option{p2p.TlsC()}
	}
	for _, text := range s.Static {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, Ready{}, err
		}
		conf.StaticPeers = append(conf.StaticPeers, core.Multiaddr(a))
	}
	if s.Discovery {
		if conf.DiscoveryDB, err = enode.OpenDB(""); err != nil {
			return nil, Ready{}, err
		}
		for _, text := range s.Bootnodes {
			b, err := enode.Parse(enode.ValidSchemes, text)
			if err != nil {
				return nil, Ready{}, err
			}
			conf.Bootnodes = append(conf.Bootnodes, b)
		}
	}
	logger := log.NewLogger(log.NewTerminalHandlerWithLevel(os.Stderr, log.LevelInfo, false))
	if n.p2p, err = p2p.NewNodeP2P(ctx, cfg, logger, traced{conf, n.meshes}, n, n.source, n, metrics.NoopMetrics, clock.SystemClock); err != nil {
		return nil, Ready{}, err
	}
	if s.Discovery { // as op-node does once all of it is up; it ends with ctx
		go n.p2p.DiscoveryProcess(ctx, logger, cfg, conf.TargetPeers())
	}
	host := n.p2p.Host()
	host.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			emit(Event{Event: "connected", Peer: c.RemotePeer().String()})
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			n.meshes.left(c.RemotePeer())
			emit(Event{Event: "disconnected", Peer: c.RemotePeer().String()})
		},
	})
	ready := Ready{Peer: host.ID().String()}
	for _, a := range host.Addrs() {
		ready.Addrs = append(ready.Addrs, fmt.Sprintf("%s/p2p/%s", a, host.ID()))
	}
	if local := n.p2p.Dv5Local(); local != nil {
		ready.ENR = local.Node().String()
	}
	return n, ready, nil
}

func hostKey(text string) (*crypto.Secp256k1PrivateKey, error) {
	if text == "" {
		k, _, err := crypto.GenerateSecp256k1Key(rand.Reader)
		if err != nil {
			return nil, err
		}
		return k.(*crypto.Secp256k1PrivateKey), nil
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	k, err := crypto.UnmarshalSecp256k1PrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return k.(*crypto.Secp256k1PrivateKey), nil
}

// publish signs a block of the chain and gossips it. mode spoils it first.
func (n *node) publish(ctx context.Context, number uint64, mode string) error {
	env, key := n.source.at(number), n.signer
	switch mode {
	case "":
	case "bad-signature":
		other, err := gethcrypto.GenerateKey()
		if err != nil {
			return err
		}
		key = other
	case "bad-hash":
		env.ExecutionPayload.BlockHash[0] ^= 1
	default:
		return fmt.Errorf("no mode %q", mode)
	}
	return n.p2p.GossipOut().SignAndPublishL2Payload(ctx, env, opsigner.NewLocalSigner(key))
}

// syncer is the sync client, which releases after v1.19.0 do not have.
type syncer interface {
	RequestL2Range(ctx context.Context, start, end eth.L2BlockRef) error
}

// sync asks for the blocks between two that are known.
func (n *node) sync(ctx context.Context, from, to uint64) error {
	s, ok := any(n.p2p).(syncer)
	if !ok {
		return errors.New("this release has no sync client")
	}
	ref := func(k uint64) eth.L2BlockRef {
		p := n.source.at(k).ExecutionPayload
		return eth.L2BlockRef{Hash: p.BlockHash, Number: k, ParentHash: p.ParentHash, Time: uint64(p.Timestamp)}
	}
	return s.RequestL2Range(ctx, ref(from), ref(to))
}
