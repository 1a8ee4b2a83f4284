package eth

import "fmt"

// Name is the protocol's name among a peer's capabilities.
const Name = "eth"

// Version is a version of the protocol.
type Version uint

// The versions that are spoken here. 68 tells total difficulty and blocks, 69
// (EIP-7642) tells the range that is served, 70 (EIP-7975) pages receipts.
const (
	V68 Version = 68
	V69 Version = 69
	V70 Version = 70
)

// Versions lists them, the best first.
func Versions() []Version { return []Version{V70, V69, V68} }

// Length is how many message codes the version takes, by which the codes of
// the protocols behind it are counted (go-ethereum eth/protocols/eth).
func (v Version) Length() uint64 {
	if v == V68 {
		return 17
	}
	return 18
}

// HasDifficulty reports whether the version speaks of total difficulty and
// sends blocks.
func (v Version) HasDifficulty() bool { return v == V68 }

func (v Version) String() string { return fmt.Sprintf("eth/%d", uint(v)) }

// Message codes, relative to the protocol's offset.
const (
	StatusMsg                     = 0x00
	NewBlockHashesMsg             = 0x01
	TransactionsMsg               = 0x02
	GetBlockHeadersMsg            = 0x03
	BlockHeadersMsg               = 0x04
	GetBlockBodiesMsg             = 0x05
	BlockBodiesMsg                = 0x06
	NewBlockMsg                   = 0x07
	NewPooledTransactionHashesMsg = 0x08
	GetPooledTransactionsMsg      = 0x09
	PooledTransactionsMsg         = 0x0a
	GetReceiptsMsg                = 0x0f
	ReceiptsMsg                   = 0x10
	BlockRangeUpdateMsg           = 0x11
)

// Limits of the protocol (go-ethereum eth/protocols/eth, eth/downloader).
const (
	MaxMessage     = 10 << 20 // bytes of one message
	SoftAnswer     = 2 << 20  // bytes after which an answer ends
	MaxHeaders     = 1024     // served for one request
	MaxBodies      = 1024
	MaxReceipts    = 1024
	MaxTxLookups   = 4096
	MaxTxs         = 5000 // in one Transactions
	MaxAnnounced   = 4096 // transactions announced in one message that are looked at
	MaxBlockHashes = 1024 // in one NewBlockHashes
	MaxPackBytes   = 100 << 10
)
