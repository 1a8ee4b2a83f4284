package opnode

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ethereum-optimism/optimism/op-node/p2p"
	"github.com/ethereum-optimism/optimism/op-service/client"
	"github.com/ethereum-optimism/optimism/op-service/sources"
	"github.com/ethereum/go-ethereum/log"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// commandTimeout bounds one command.
const commandTimeout = time.Minute

// Main runs the process.
func Main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "opnode:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	emit := func(v any) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(v) // whoever steers us has gone: the input ends too
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var (
		n  *node
		wg sync.WaitGroup
	)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c Command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fmt.Errorf("input: %w", err)
		}
		if n == nil {
			if c.Do != "start" {
				return errors.New("the first command must be start")
			}
			var s Start
			if err := json.Unmarshal(c.Params, &s); err != nil {
				return fmt.Errorf("start: %w", err)
			}
			started, ready, err := start(ctx, s, emit)
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}
			n = started
			emit(Answer{ID: c.ID, Result: ready})
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, commandTimeout)
			defer cancel()
			result, err := n.do(ctx, c)
			a := Answer{ID: c.ID, Result: result}
			if err != nil {
				a.Error = err.Error()
			}
			emit(a)
		})
	}
	stop()
	if n != nil {
		_ = n.p2p.Close()
	}
	wg.Wait()
	return lines.Err()
}

func (n *node) do(ctx context.Context, c Command) (any, error) {
	switch c.Do {
	case "connect":
		a, err := ma.NewMultiaddr(c.Addr)
		if err != nil {
			return nil, err
		}
		info, err := peer.AddrInfoFromP2pAddr(a)
		if err != nil {
			return nil, err
		}
		return true, n.p2p.Host().Connect(ctx, *info)
	case "disconnect":
		id, err := peer.Decode(c.Peer)
		if err != nil {
			return nil, err
		}
		return true, n.p2p.Host().Network().ClosePeer(id)
	case "peers":
		ids := []string{}
		for _, id := range n.p2p.Peers() {
			ids = append(ids, id.String())
		}
		return ids, nil
	case "topics":
		out := n.p2p.GossipOut()
		return []int{len(out.BlocksTopicV1Peers()), len(out.BlocksTopicV2Peers()), len(out.BlocksTopicV3Peers()), len(out.BlocksTopicV4Peers())}, nil
	case "block":
		return n.source.block(c.Number)
	case "publish":
		return true, n.publish(ctx, c.Number, c.Mode)
	case "sync":
		return true, n.sync(ctx, c.Number, c.End)
	case "request":
		return n.request(ctx, c.Peer, c.Number)
	case "opp2p":
		return callAll(ctx, c.URL)
	case "scores":
		scores := map[string]float64{}
		for _, id := range n.p2p.Peers() {
			s, err := n.p2p.GetPeerScore(id)
			if err != nil {
				return nil, err
			}
			scores[id.String()] = s
		}
		return scores, nil
	}
	return nil, fmt.Errorf("no command %q", c.Do)
}

// request asks a peer for a payload as a sync client does, and gives the whole
// answer.
func (n *node) request(ctx context.Context, to string, number uint64) (string, error) {
	id, err := peer.Decode(to)
	if err != nil {
		return "", err
	}
	s, err := n.p2p.Host().NewStream(ctx, id, p2p.PayloadByNumberProtocolID(n.source.params.config().L2ChainID))
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := s.Write(binary.LittleEndian.AppendUint64(nil, number)); err != nil {
		return "", err
	}
	if err := s.CloseWrite(); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(io.LimitReader(s, 10<<20))
	return hex.EncodeToString(raw), err
}

// callAll calls what op-node's client can call, and gives each result or error.
func callAll(ctx context.Context, url string) (map[string]any, error) {
	rpc, err := client.NewRPC(ctx, log.NewLogger(log.DiscardHandler()), url)
	if err != nil {
		return nil, err
	}
	defer rpc.Close()
	c := sources.NewP2PClient(rpc)
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
	return out, errors.Join(mutate(ctx, c, note))
}
