package daemon

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// ethStats describe the node to a page as geth does (ethstats, nodeInfo and
// blockStats).
type (
	statsHello struct {
		ID     string    `json:"id"`
		Info   statsInfo `json:"info"`
		Secret string    `json:"secret"`
	}
	statsInfo struct {
		Name     string `json:"name"`
		Node     string `json:"node"`
		Port     int    `json:"port"`
		Network  string `json:"net"`
		Protocol string `json:"protocol"`
		API      string `json:"api"`
		OS       string `json:"os"`
		OSVer    string `json:"os_v"`
		Client   string `json:"client"`
		History  bool   `json:"canUpdateHistory"`
	}
	statsBlock struct {
		Number     uint64           `json:"number"`
		Hash       string           `json:"hash"`
		Parent     string           `json:"parentHash"`
		Time       uint64           `json:"timestamp"`
		Miner      string           `json:"miner"`
		GasUsed    uint64           `json:"gasUsed"`
		GasLimit   uint64           `json:"gasLimit"`
		Difficulty string           `json:"difficulty"`
		Total      string           `json:"totalDifficulty"`
		Txs        []map[string]any `json:"transactions"`
		TxRoot     string           `json:"transactionsRoot"`
		StateRoot  string           `json:"stateRoot"`
		Uncles     []map[string]any `json:"uncles"` // each with its hash alone
	}
	statsNode struct {
		Active   bool `json:"active"`
		Syncing  bool `json:"syncing"`
		Peers    int  `json:"peers"`
		GasPrice int  `json:"gasPrice"` // 0: it is not estimated here
		Uptime   int  `json:"uptime"`   // in percent
	}
)

// newStats reads where the page is; nil where the config names none.
func (e *Ethereum) newStats(dir *Datadir) (*statsReporter, error) {
	if e.Ethstats == "" {
		return nil, nil
	}
	page, err := parseStats(e.Ethstats)
	if err != nil {
		return nil, fmt.Errorf("network.ethereum.ethstats: %w", err)
	}
	if e.EthstatsSecret != "" {
		text, err := readSecret(dir.resolve(e.EthstatsSecret))
		if err != nil {
			return nil, fmt.Errorf("network.ethereum.ethstats_secret: %w", err)
		}
		page.keep(strings.TrimSpace(string(text)))
	}
	return &statsReporter{page: page, retry: statsRetry}, nil
}

// source is what a node tells.
func (s *statsReporter) of(st *stack, fam *ethereum.Family, networkID uint64) statsSource {
	return statsSource{
		hello: func(name, secret string) any {
			h := statsHello{ID: name, Secret: secret, Info: statsInfo{
				Name: name, Node: clientVersion(), Network: fmt.Sprint(networkID), Protocol: strings.Join(ethProtocols(), ", "),
				API: "No", OS: runtime.GOOS, OSVer: runtime.GOARCH, Client: "0.1.1", History: true,
			}}
			for _, a := range st.wire.Addrs() {
				if ep, _, ok := locate(st.wire, a); ok {
					h.Info.Port = int(ep.Port())
				}
			}
			return h
		},
		head:    func() uint64 { return st.chain.Status().Head.Number },
		pending: st.pending,
		stats: func() any {
			status := s.client.Status()
			return statsNode{
				Active: true, Peers: status.Inbound + status.Outbound, Uptime: 100,
				Syncing: slices.Contains([]string{"forward", "backward"}, status.Sync.Mode),
			}
		},
		block: func(ctx context.Context, number *uint64) (any, error) {
			ref := st.chain.Status().Head
			if number != nil {
				ref = chain.Ref{Number: *number}
			}
			b, err := st.chain.Block(ctx, ref)
			if err != nil {
				return nil, err
			}
			shown, err := fam.Show(b, chain.Weight{}, false)
			if err != nil {
				return nil, err
			}
			out := statsBlock{
				Number: b.Ref().Number, Hash: b.Ref().Hash.String(), Parent: b.Header.Parent.String(), Time: uint64(shown.Time), Miner: fam.Author(b.Header),
				GasUsed: uint64(shown.GasUsed), GasLimit: uint64(shown.GasLimit), Difficulty: shown.Difficulty.ToInt().String(), Total: "0",
				Txs: []map[string]any{}, TxRoot: shown.Transactions.Hex(), StateRoot: shown.State.Hex(), Uncles: []map[string]any{},
			}
			if head := st.chain.Status(); shown.TotalDifficulty != nil && head.Head == b.Ref() {
				out.Total = head.Weight.Big().String()
			}
			for _, h := range shown.Txs {
				out.Txs = append(out.Txs, map[string]any{"hash": h})
			}
			for _, h := range shown.UncleHashes {
				out.Uncles = append(out.Uncles, map[string]any{"hash": h})
			}
			return out, nil
		},
	}
}
