package opnode

// Start says what node to run, on which chain.
type Start struct {
	Chain
	Key       string   `json:"key"`    // the host's, 32 bytes in hex; empty: a new one
	Listen    string   `json:"listen"` // IP
	Head      uint64   `json:"head"`   // the highest block that is served; those above are not found
	Lowest    uint64   `json:"lowest"` // the lowest that is served
	Wrong     uint64   `json:"wrong"`  // up to this number other blocks are served; 0: none
	Stall     bool     `json:"stall"`  // requests are never answered
	Static    []string `json:"static"` // multiaddrs
	Discovery bool     `json:"discovery"`
	Bootnodes []string `json:"bootnodes"` // ENR or enode
	Security  string   `json:"security"`  // "noise" (default), "tls"
	PeersLo   uint     `json:"peers_lo"`  // 0: 20
	PeersHi   uint     `json:"peers_hi"`  // 0: 30
}

// Chain is the rollup's parameters. Block n is a function of them and of n.
type Chain struct {
	ID          uint64  `json:"chain_id"`
	GenesisTime uint64  `json:"genesis_time"`
	BlockTime   uint64  `json:"block_time"`
	Canyon      *uint64 `json:"canyon"`
	Ecotone     *uint64 `json:"ecotone"`
	Isthmus     *uint64 `json:"isthmus"`
	Jovian      *uint64 `json:"jovian"`
	SignerKey   string  `json:"signer_key"` // 32 bytes in hex: signs what is published; its address is the one accepted
	Txs         int     `json:"txs"`        // of a block
	TxBytes     int     `json:"tx_bytes"`   // of a transaction
}

// Block is a block of the chain.
type Block struct {
	Number   uint64 `json:"number"`
	Hash     string `json:"hash"`
	Parent   string `json:"parent"`
	Time     uint64 `json:"time"`
	Envelope string `json:"envelope"` // SSZ as it is gossiped behind the signature, in hex
}

// Ready is the answer to start.
type Ready struct {
	Peer  string   `json:"peer"`
	Addrs []string `json:"addrs"` // with /p2p/
	ENR   string   `json:"enr"`
}

// Event is a line of output that nobody asked for: a payload that came by gossip
// or by sync, or a connection.
type Event struct {
	Event  string `json:"event"` // "payload", "connected", "disconnected"
	Peer   string `json:"peer"`
	Number uint64 `json:"number,omitempty"`
	Hash   string `json:"hash,omitempty"`
}
