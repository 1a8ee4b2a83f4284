package ontology

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// blockInfo is the consensus payload of a VBFT header.
type blockInfo struct {
	Proposer   uint32       `json:"leader"`
	VrfValue   []byte       `json:"vrf_value"`
	VrfProof   []byte       `json:"vrf_proof"`
	LastConfig uint32       `json:"last_config_block_num"`
	Config     *chainConfig `json:"new_chain_config"`
}

// chainConfig is who takes part in the consensus from a block on.
type chainConfig struct {
	Version              uint32        `json:"version"`
	View                 uint32        `json:"view"`
	N                    uint32        `json:"n"`
	C                    uint32        `json:"c"`
	BlockMsgDelay        time.Duration `json:"block_msg_delay"`
	HashMsgDelay         time.Duration `json:"hash_msg_delay"`
	PeerHandshakeTimeout time.Duration `json:"peer_handshake_timeout"`
	Peers                []peerConfig  `json:"peers"`
	PosTable             []uint32      `json:"pos_table"`
	MaxBlockChangeView   uint32        `json:"MaxBlockChangeView"`
}

type peerConfig struct {
	Index uint32 `json:"index"`
	ID    string `json:"id"` // a public key in hex
}

// members is what a header's signers are checked against.
type members struct {
	c    int                 // C of the configuration
	keys map[string]struct{} // encoded
}

// parseInfo reads a payload. A configuration without members is refused: it
// would let nobody sign.
func parseInfo(payload []byte) (blockInfo, error) {
	var b blockInfo
	if err := json.Unmarshal(payload, &b); err != nil {
		return blockInfo{}, fmt.Errorf("its consensus payload does not decode: %w", err)
	}
	if b.Config != nil && (len(b.Config.Peers) == 0 || len(b.Config.Peers) > MaxPeers || b.Config.C > MaxPeers) {
		return blockInfo{}, fmt.Errorf("its configuration has %d members, want 1 to %d", len(b.Config.Peers), MaxPeers)
	}
	return b, nil
}

func (c *chainConfig) members() (*members, error) {
	m := &members{c: int(c.C), keys: map[string]struct{}{}}
	for _, p := range c.Peers {
		k, err := hex.DecodeString(p.ID)
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", p.Index, err)
		}
		m.keys[string(k)] = struct{}{}
	}
	return m, nil
}

// quorum is how many signatures the newest release checks: n - 6n/7.
func (m *members) quorum() int { return len(m.keys) - len(m.keys)*6/7 }

var errNotMember = errors.New("a signer is no member of the consensus, or is listed twice")

// check says whether keys may sign: distinct members, and more than C of them.
func (m *members) check(keys [][]byte) error {
	seen := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		_, member := m.keys[string(k)]
		_, twice := seen[string(k)]
		if !member || twice {
			return errNotMember
		}
		seen[string(k)] = struct{}{}
	}
	if len(keys) < m.c+1 {
		return fmt.Errorf("it lists %d signers, want at least %d", len(keys), m.c+1)
	}
	return nil
}
