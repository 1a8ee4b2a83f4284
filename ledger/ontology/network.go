package ontology

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// The kinds of consensus.
const (
	VBFT = "vbft"
	DBFT = "dbft"
	Solo = "solo"
)

// Network is what the genesis block of a network is computed from. Its JSON is
// that of a node's configuration file.
type Network struct {
	Name          string      `json:"-"` // as in chain.Status
	Magic         uint32      `json:"-"` // of its frames
	SeedList      []string    `json:"SeedList"`
	ConsensusType string      `json:"ConsensusType"` // VBFT, DBFT or Solo
	VBFT          VBFTConfig  `json:"VBFT"`
	DBFT          Bookkeepers `json:"DBFT"`
	SOLO          Bookkeepers `json:"SOLO"`
	// SingleScript is how releases from v1.0.1 on write the address of a lone
	// bookkeeper; v1.0.0 writes it as one of one.
	SingleScript bool `json:"-"`
}

// Bookkeepers are those of a DBFT or solo network.
type Bookkeepers struct {
	GenBlockTime uint     `json:"GenBlockTime"` // seconds
	Bookkeepers  []string `json:"Bookkeepers"`  // keys in hex
}

// VBFTConfig is that of a VBFT network.
type VBFTConfig struct {
	N                    uint32     `json:"n"`
	C                    uint32     `json:"c"`
	K                    uint32     `json:"k"`
	L                    uint32     `json:"l"`
	BlockMsgDelay        uint32     `json:"block_msg_delay"`
	HashMsgDelay         uint32     `json:"hash_msg_delay"`
	PeerHandshakeTimeout uint32     `json:"peer_handshake_timeout"`
	MaxBlockChangeView   uint32     `json:"max_block_change_view"`
	MinInitStake         uint32     `json:"min_init_stake"`
	AdminOntID           string     `json:"admin_ont_id"`
	VrfValue             string     `json:"vrf_value"`
	VrfProof             string     `json:"vrf_proof"`
	Peers                []VBFTPeer `json:"peers"`
}

// VBFTPeer is a first member of a VBFT network.
type VBFTPeer struct {
	Index      uint32 `json:"index"`
	PeerPubkey string `json:"peerPubkey"` // in hex
	Address    string `json:"address"`
	InitPos    uint64 `json:"initPos"`
}

// ParseNetwork reads a node's configuration file, which has no name and no
// magic in it.
func ParseNetwork(file []byte) (Network, error) {
	var n Network
	if err := json.Unmarshal(file, &n); err != nil {
		return Network{}, fmt.Errorf("ontology: configuration file: %w", err)
	}
	return n, nil
}

// MaxPeers bounds the members of a network.
const MaxPeers = 1024

// MinPeers is how many peers a node waits for before it syncs.
func (n Network) MinPeers() int {
	if n.kind() == Solo {
		return 1
	}
	return 4
}

func (n Network) kind() string { return strings.ToLower(n.ConsensusType) }

// keys are the first bookkeepers.
func (n Network) keys() ([]codec.Key, error) {
	var texts []string
	switch n.kind() {
	case VBFT:
		for _, p := range n.VBFT.Peers {
			texts = append(texts, p.PeerPubkey)
		}
	case DBFT:
		texts = n.DBFT.Bookkeepers
	case Solo:
		texts = n.SOLO.Bookkeepers
	default:
		return nil, fmt.Errorf("ontology: consensus type %.20q: it should be %s, %s or %s", n.ConsensusType, VBFT, DBFT, Solo)
	}
	if len(texts) == 0 || len(texts) > MaxPeers {
		return nil, fmt.Errorf("ontology: %d bookkeepers, want 1 to %d", len(texts), MaxPeers)
	}
	var all []codec.Key
	for _, t := range texts {
		b, err := hex.DecodeString(t)
		if err != nil {
			return nil, fmt.Errorf("ontology: bookkeeper %.80q: %w", t, err)
		}
		k, err := codec.ParseKey(b)
		if err != nil {
			return nil, fmt.Errorf("ontology: bookkeeper %.80q: %w", t, err)
		}
		all = append(all, k)
	}
	return all, nil
}

// Validate reports what is wrong with the parameters.
func (n Network) Validate() error {
	var errs []error
	if n.Name == "" || len(n.Name) > 64 {
		errs = append(errs, fmt.Errorf("ontology: network name %.80q has %d bytes, want 1 to 64", n.Name, len(n.Name)))
	}
	_, err := n.keys()
	errs = append(errs, err)
	v := n.VBFT
	switch {
	case n.kind() != VBFT:
	case v.C == 0 || int64(v.K) > int64(len(v.Peers)) || v.K < 2*v.C+1:
		errs = append(errs, fmt.Errorf("ontology: vbft: k is %d and c is %d with %d peers, want c > 0, k > 2c and k peers", v.K, v.C, len(v.Peers)))
	case v.L%v.K != 0 || v.L < 2*v.K || v.L > 1<<16:
		errs = append(errs, fmt.Errorf("ontology: vbft: l is %d, want a multiple of k (%d), from twice that to %d", v.L, v.K, 1<<16))
	}
	return errors.Join(errs...)
}
