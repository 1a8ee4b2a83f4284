package ontology

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const (
	genesisNonce = 2083236893
	ontSupply    = 1000000000
)

// contract is the address of one of the node's own contracts.
func contract(n byte) (a codec.Address) {
	a[len(a)-1] = n
	return a
}

// gas is what operations cost at genesis: parameters of the chain.
var gas = [...]struct {
	name string
	cost uint64
}{
	{"System.Blockchain.GetHeader", 100},
	{"System.Blockchain.GetBlock", 200},
	{"System.Blockchain.GetTransaction", 100},
	{"System.Blockchain.GetContract", 100},
	{"Ontology.Contract.Create", 20000000},
	{"Ontology.Contract.Migrate", 20000000},
	{"System.Storage.Get", 200},
	{"System.Storage.Put", 4000},
	{"System.Storage.Delete", 100},
	{"System.Runtime.CheckWitness", 200},
	{"Ontology.Native.Invoke", 1000},
	{"APPCALL", 10},
	{"TAILCALL", 10},
	{"SHA1", 10},
	{"SHA256", 10},
	{"HASH160", 20},
	{"HASH256", 20},
	{"Deploy.Code.Gas", 200000},
	{"Invoke.Code.Gas", 20000},
	{"gasPrice", 0},
}

// Genesis computes the genesis block of a network.
func Genesis(n Network) (codec.Block, error) {
	if err := n.Validate(); err != nil {
		return codec.Block{}, err
	}
	keys, err := n.keys()
	if err != nil {
		return codec.Block{}, err
	}
	next, err := bookkeepersAddress(keys, n.SingleScript)
	if err != nil {
		return codec.Block{}, err
	}
	owner, err := ownerAddress(keys)
	if err != nil {
		return codec.Block{}, err
	}
	conf, err := n.VBFT.encode()
	if err != nil {
		return codec.Block{}, err
	}
	govern := native(contract(7), "initConfig", conf)
	payload, err := n.payload(govern.Hash)
	if err != nil {
		return codec.Block{}, err
	}
	txs := []codec.Tx{
		deploy(1, "ONT", "Ontology Network ONT Token"),
		deploy(2, "ONG", "Ontology Network ONG Token"),
		deploy(4, "ParamConfig", "Chain Global Environment Variables Manager "),
		deploy(3, "OID", "Ontology Network ONT ID"),
		deploy(6, "AuthContract", "Ontology Network Authorization Contract"),
		deploy(7, "CONFIG", "Ontology Network Consensus Config"),
		native(contract(1), "init", supply(owner)),
		native(contract(2), "init", nil),
		native(contract(4), "init", params(owner)),
		govern,
	}
	hashes := make([]codec.Hash, len(txs))
	for i, t := range txs {
		hashes[i] = t.Hash
	}
	h := codec.Header{
		TxRoot:         codec.TxRoot(hashes),
		Time:           uint32(time.Date(2018, time.June, 30, 0, 0, 0, 0, time.UTC).Unix()),
		Nonce:          genesisNonce,
		Payload:        payload,
		NextBookkeeper: next,
	}
	return codec.Block{Header: h.Seal(), Txs: txs, Body: codec.AppendBody(nil, txs)}, nil
}

// bookkeepersAddress is what a header names the signers of the next by.
func bookkeepersAddress(keys []codec.Key, single bool) (codec.Address, error) {
	if len(keys) == 1 && single {
		return codec.AddressOfKey(keys[0].Bytes()), nil
	}
	return codec.AddressOfBookkeepers(keys)
}

// ownerAddress is whom all is given to at genesis: five sevenths of the keys.
func ownerAddress(keys []codec.Key) (codec.Address, error) {
	if len(keys) == 1 {
		return codec.AddressOfKey(keys[0].Bytes()), nil
	}
	return codec.AddressOfKeys(keys, (5*len(keys)+6)/7)
}

func deploy(n byte, name, description string) codec.Tx {
	at := contract(n)
	return codec.Tx{Type: codec.TxDeploy, Deploy: &codec.Deploy{
		Code: at[:], Flags: 1, Name: name, Version: "1.0",
		Author: "Ontology Team", Email: "contact@ont.io", Description: description,
	}}.Seal()
}

// native is a call of one of the node's own contracts.
func native(at codec.Address, method string, args []byte) codec.Tx {
	code := push(nil, args)
	code = push(code, []byte(method))
	code = push(code, at[:])
	code = append(code, 0, 0x68) // version 0; a system call
	code = push(code, []byte("Ontology.Native.Invoke"))
	return codec.Tx{Type: codec.TxInvoke, GasLimit: math.MaxUint64, Code: code}.Seal()
}

// push appends the opcode that pushes bytes, as the node's builder does.
func push(dst, b []byte) []byte {
	switch n := len(b); {
	case n < 75:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x4c, byte(n))
	case n < 0x10000:
		dst = binary.LittleEndian.AppendUint16(append(dst, 0x4d), uint16(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, 0x4e), uint32(n))
	}
	return append(dst, b...)
}

// bytesOf appends bytes with their length, of less than 64 KiB.
func bytesOf(dst, b []byte) []byte {
	if len(b) < 0xfd {
		return append(append(dst, byte(len(b))), b...)
	}
	return append(binary.LittleEndian.AppendUint16(append(dst, 0xfd), uint16(len(b))), b...)
}

// number is a number as contracts read it: bytes of the virtual machine's
// integer, with their length.
func number(dst []byte, v uint64) []byte {
	b := new(big.Int).SetUint64(v).Bytes()
	slices.Reverse(b)
	if n := len(b); n > 0 && b[n-1] >= 0x80 {
		b = append(b, 0)
	}
	return bytesOf(dst, b)
}

func supply(owner codec.Address) []byte {
	return number(bytesOf(number(nil, 1), owner[:]), ontSupply)
}

func params(owner codec.Address) []byte {
	table := gas
	slices.SortFunc(table[:], func(a, b struct {
		name string
		cost uint64
	},
	) int {
		return strings.Compare(a.name, b.name)
	})
	b := number(nil, uint64(len(table)))
	for _, g := range table {
		b = bytesOf(bytesOf(b, []byte(g.name)), []byte(strconv.FormatUint(g.cost, 10)))
	}
	return bytesOf(b, owner[:])
}

// encode is the configuration as the governing contract is given it.
func (v VBFTConfig) encode() ([]byte, error) {
	var b []byte
	for _, n := range []uint32{v.N, v.C, v.K, v.L, v.BlockMsgDelay, v.HashMsgDelay, v.PeerHandshakeTimeout, v.MaxBlockChangeView, v.MinInitStake} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	for _, s := range []string{v.AdminOntID, v.VrfValue, v.VrfProof} {
		b = bytesOf(b, []byte(s))
	}
	if n := len(v.Peers); n < 0xfd {
		b = append(b, byte(n))
	} else {
		b = binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(n))
	}
	for _, p := range v.Peers {
		b = bytesOf(binary.LittleEndian.AppendUint32(b, p.Index), []byte(p.PeerPubkey))
		a, err := codec.ParseAddress(p.Address)
		if err != nil {
			return nil, fmt.Errorf("ontology: peer %d: %w", p.Index, err)
		}
		b = binary.LittleEndian.AppendUint64(append(b, a[:]...), p.InitPos)
	}
	return b, nil
}

// payload is the genesis header's: the first chain configuration in VBFT,
// nothing elsewhere.
func (n Network) payload(seed codec.Hash) ([]byte, error) {
	if n.kind() != VBFT {
		return nil, nil
	}
	value, err := hex.DecodeString(n.VBFT.VrfValue)
	if err != nil {
		return nil, fmt.Errorf("ontology: vrf_value: %w", err)
	}
	proof, err := hex.DecodeString(n.VBFT.VrfProof)
	if err != nil {
		return nil, fmt.Errorf("ontology: vrf_proof: %w", err)
	}
	conf, err := n.VBFT.first(seed)
	if err != nil {
		return nil, err
	}
	return json.Marshal(blockInfo{Proposer: math.MaxUint32, VrfValue: value, VrfProof: proof, LastConfig: math.MaxUint32, Config: conf})
}

// first is the chain configuration at genesis: the members with the most
// stake, and a table of turns by stake, shuffled with the seed.
func (v VBFTConfig) first(seed codec.Hash) (*chainConfig, error) {
	peers := slices.Clone(v.Peers)
	slices.SortStableFunc(peers, func(a, b VBFTPeer) int {
		switch {
		case a.InitPos != b.InitPos && a.InitPos > b.InitPos:
			return -1
		case a.InitPos != b.InitPos:
			return 1
		}
		return strings.Compare(b.PeerPubkey, a.PeerPubkey)
	})
	peers = peers[:v.K]
	sum := uint64(0)
	for _, p := range peers {
		sum += p.InitPos
	}
	scale := v.L/v.K - 1
	c := &chainConfig{
		Version: 1, View: 1, N: v.K, C: v.C,
		BlockMsgDelay: time.Duration(v.BlockMsgDelay) * time.Millisecond, HashMsgDelay: time.Duration(v.HashMsgDelay) * time.Millisecond,
		PeerHandshakeTimeout: time.Duration(v.PeerHandshakeTimeout) * time.Second, MaxBlockChangeView: v.MaxBlockChangeView,
		PosTable: []uint32{},
	}
	ids := map[uint32]string{}
	for _, p := range peers {
		rank := uint64(1)
		if sum > 0 && p.InitPos > 0 {
			rank = uint64(math.Ceil(float64(p.InitPos) * float64(scale) * float64(v.K) / float64(sum)))
		}
		if rank > uint64(v.L) {
			return nil, fmt.Errorf("ontology: vbft: peer %d has %d turns, at most %d", p.Index, rank, v.L)
		}
		for range rank {
			c.PosTable = append(c.PosTable, p.Index)
		}
		c.Peers = append(c.Peers, peerConfig{p.Index, p.PeerPubkey})
		ids[p.Index] = p.PeerPubkey
	}
	for i := len(c.PosTable) - 1; i > 0; i-- {
		data, err := json.Marshal(struct {
			Txid   codec.Hash `json:"txid"`
			Height uint32     `json:"height"`
			NodeID string     `json:"node_id"`
			Index  int        `json:"index"`
		}{seed, 0, ids[c.PosTable[i]], i})
		if err != nil {
			return nil, fmt.Errorf("ontology: vbft: %w", err)
		}
		h := fnv.New64a()
		h.Write(data)
		j := h.Sum64() % uint64(i)
		c.PosTable[i], c.PosTable[j] = c.PosTable[j], c.PosTable[i]
	}
	return c, nil
}
