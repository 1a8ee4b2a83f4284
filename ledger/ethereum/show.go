package ethereum

import (
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/starlingp2p/starling/chain"
)

// ShownHeader is a header as eth_getBlockByNumber gives it (go-ethereum
// internal/ethapi, RPCMarshalHeader).
type ShownHeader struct {
	Number       *hexutil.Big     `json:"number"`
	Hash         common.Hash      `json:"hash"`
	Parent       common.Hash      `json:"parentHash"`
	Nonce        types.BlockNonce `json:"nonce"`
	Mix          common.Hash      `json:"mixHash"`
	Uncles       common.Hash      `json:"sha3Uncles"`
	Bloom        types.Bloom      `json:"logsBloom"`
	State        common.Hash      `json:"stateRoot"`
	Miner        common.Address   `json:"miner"`
	Difficulty   *hexutil.Big     `json:"difficulty"`
	Extra        hexutil.Bytes    `json:"extraData"`
	GasLimit     hexutil.Uint64   `json:"gasLimit"`
	GasUsed      hexutil.Uint64   `json:"gasUsed"`
	Time         hexutil.Uint64   `json:"timestamp"`
	Transactions common.Hash      `json:"transactionsRoot"`
	Receipts     common.Hash      `json:"receiptsRoot"`

	BaseFee       *hexutil.Big    `json:"baseFeePerGas,omitempty"`
	Withdrawals   *common.Hash    `json:"withdrawalsRoot,omitempty"`
	BlobGasUsed   *hexutil.Uint64 `json:"blobGasUsed,omitempty"`
	ExcessBlobGas *hexutil.Uint64 `json:"excessBlobGas,omitempty"`
	BeaconRoot    *common.Hash    `json:"parentBeaconBlockRoot,omitempty"`
	Requests      *common.Hash    `json:"requestsHash,omitempty"`
}

// ShownBlock is a block in geth's shape (RPCMarshalBlock).
type ShownBlock struct {
	ShownHeader
	Size hexutil.Uint64 `json:"size"`
	// Txs are hashes, or whole transactions, each a ShownTx.
	Txs             []any              `json:"transactions"`
	UncleHashes     []common.Hash      `json:"uncles"`
	WithdrawalsList *types.Withdrawals `json:"withdrawals,omitempty"`
	// TotalDifficulty is there on chains that have one, as in geth up to v1.13.
	TotalDifficulty *hexutil.Big `json:"totalDifficulty,omitempty"`
}

// ShownTx is a transaction of a block in geth's shape (RPCTransaction).
type ShownTx struct {
	BlockHash        common.Hash                  `json:"blockHash"`
	BlockNumber      *hexutil.Big                 `json:"blockNumber"`
	BlockTime        hexutil.Uint64               `json:"blockTimestamp"`
	From             common.Address               `json:"from"`
	Gas              hexutil.Uint64               `json:"gas"`
	GasPrice         *hexutil.Big                 `json:"gasPrice"`
	MaxFee           *hexutil.Big                 `json:"maxFeePerGas,omitempty"`
	MaxPriorityFee   *hexutil.Big                 `json:"maxPriorityFeePerGas,omitempty"`
	MaxFeePerBlobGas *hexutil.Big                 `json:"maxFeePerBlobGas,omitempty"`
	Hash             common.Hash                  `json:"hash"`
	Input            hexutil.Bytes                `json:"input"`
	Nonce            hexutil.Uint64               `json:"nonce"`
	To               *common.Address              `json:"to"`
	Index            hexutil.Uint64               `json:"transactionIndex"`
	Value            *hexutil.Big                 `json:"value"`
	Type             hexutil.Uint64               `json:"type"`
	AccessList       *types.AccessList            `json:"accessList,omitempty"`
	ChainID          *hexutil.Big                 `json:"chainId,omitempty"`
	BlobHashes       []common.Hash                `json:"blobVersionedHashes,omitempty"`
	Authorizations   []types.SetCodeAuthorization `json:"authorizationList,omitempty"`
	V                *hexutil.Big                 `json:"v"`
	R                *hexutil.Big                 `json:"r"`
	S                *hexutil.Big                 `json:"s"`
	YParity          *hexutil.Uint64              `json:"yParity,omitempty"`
}

// Show gives a block of the chain in geth's shape: with whole transactions if
// full is set, else with their hashes. weight is that of the chain up to it.
func (f *Family) Show(b chain.Block, weight chain.Weight, full bool) (*ShownBlock, error) {
	_, h, err := decodeHeader(b.Header.Bytes)
	if err != nil {
		return nil, err
	}
	parts, err := splitBody(b.Body)
	if err != nil {
		return nil, fmt.Errorf("ethereum: body of block %v: %w", b.Ref(), err)
	}
	out := &ShownBlock{ShownHeader: showHeader(h), Size: hexutil.Uint64(sizeOf(b)), Txs: []any{}, UncleHashes: []common.Hash{}}
	var txs types.Transactions
	for i, raw := range parts.txs {
		tx := new(types.Transaction)
		if err := tx.UnmarshalBinary(raw); err != nil {
			return nil, fmt.Errorf("ethereum: transaction %d of block %v: %w", i, b.Ref(), err)
		}
		txs = append(txs, tx)
	}
	signer := types.MakeSigner(f.c.Chain, h.Number, h.Time)
	for i, tx := range txs {
		if full {
			out.Txs = append(out.Txs, showTx(tx, signer, h, out.Hash, i))
		} else {
			out.Txs = append(out.Txs, tx.Hash())
		}
	}
	uncles, err := unclesOf(parts)
	if err != nil {
		return nil, fmt.Errorf("ethereum: uncles of block %v: %w", b.Ref(), err)
	}
	for _, u := range uncles {
		out.UncleHashes = append(out.UncleHashes, u.Hash())
	}
	if parts.withdrawals != nil {
		out.WithdrawalsList = &types.Withdrawals{}
		for i, raw := range parts.withdrawals {
			w := new(types.Withdrawal)
			if err := rlp.DecodeBytes(raw, w); err != nil {
				return nil, fmt.Errorf("ethereum: withdrawal %d of block %v: %w", i, b.Ref(), err)
			}
			*out.WithdrawalsList = append(*out.WithdrawalsList, w)
		}
	}
	if !f.NeedsTarget() {
		out.TotalDifficulty = (*hexutil.Big)(weight.Big())
	}
	return out, nil
}

// ShowUncle gives an uncle of a block in geth's shape, as a block without
// transactions; nil if the block has no such uncle.
func (f *Family) ShowUncle(b chain.Block, index uint64) (*ShownUncle, error) {
	parts, err := splitBody(b.Body)
	if err != nil {
		return nil, fmt.Errorf("ethereum: body of block %v: %w", b.Ref(), err)
	}
	uncles, err := unclesOf(parts)
	if err != nil || index >= uint64(len(uncles)) {
		return nil, err
	}
	u := types.NewBlockWithHeader(uncles[index])
	return &ShownUncle{ShownHeader: showHeader(uncles[index]), Size: hexutil.Uint64(u.Size()), UncleHashes: []common.Hash{}}, nil
}

// ShownUncle is what eth_getUncleByBlockHashAndIndex gives.
type ShownUncle struct {
	ShownHeader
	Size        hexutil.Uint64 `json:"size"`
	UncleHashes []common.Hash  `json:"uncles"`
}

func unclesOf(parts body) (out []*types.Header, err error) {
	err = rlp.DecodeBytes(parts.uncles, &out)
	return out, err
}

// sizeOf is how long the block's encoding is.
func sizeOf(b chain.Block) uint64 {
	_, body, _, _ := rlp.Split(b.Body) // verified before it was stored
	return rlp.ListSize(uint64(len(b.Header.Bytes) + len(body)))
}

func showHeader(h *types.Header) ShownHeader {
	out := ShownHeader{
		Number: (*hexutil.Big)(h.Number), Hash: h.Hash(), Parent: h.ParentHash, Nonce: h.Nonce, Mix: h.MixDigest, Uncles: h.UncleHash,
		Bloom: h.Bloom, State: h.Root, Miner: h.Coinbase, Difficulty: (*hexutil.Big)(h.Difficulty), Extra: h.Extra,
		GasLimit: hexutil.Uint64(h.GasLimit), GasUsed: hexutil.Uint64(h.GasUsed), Time: hexutil.Uint64(h.Time),
		Transactions: h.TxHash, Receipts: h.ReceiptHash, BaseFee: (*hexutil.Big)(h.BaseFee), Withdrawals: h.WithdrawalsHash,
		BlobGasUsed: (*hexutil.Uint64)(h.BlobGasUsed), ExcessBlobGas: (*hexutil.Uint64)(h.ExcessBlobGas),
		BeaconRoot: h.ParentBeaconRoot, Requests: h.RequestsHash,
	}
	return out
}

func showTx(tx *types.Transaction, signer types.Signer, h *types.Header, hash common.Hash, index int) ShownTx {
	from, _ := types.Sender(signer, tx) // zero where nobody signed, as in geth
	v, r, s := tx.RawSignatureValues()
	out := ShownTx{
		BlockHash: hash, BlockNumber: (*hexutil.Big)(h.Number), BlockTime: hexutil.Uint64(h.Time), Index: hexutil.Uint64(index),
		From: from, Gas: hexutil.Uint64(tx.Gas()), GasPrice: (*hexutil.Big)(tx.GasPrice()), Hash: tx.Hash(), Input: tx.Data(),
		Nonce: hexutil.Uint64(tx.Nonce()), To: tx.To(), Value: (*hexutil.Big)(tx.Value()), Type: hexutil.Uint64(tx.Type()),
		V: (*hexutil.Big)(v), R: (*hexutil.Big)(r), S: (*hexutil.Big)(s),
	}
	if id := tx.ChainId(); tx.Type() != types.LegacyTxType || id.Sign() != 0 {
		out.ChainID = (*hexutil.Big)(id)
	}
	if tx.Type() == types.LegacyTxType {
		return out
	}
	parity, list := hexutil.Uint64(v.Sign()), tx.AccessList()
	out.YParity, out.AccessList = &parity, &list
	if tx.Type() == types.AccessListTxType {
		return out
	}
	out.MaxFee, out.MaxPriorityFee = (*hexutil.Big)(tx.GasFeeCap()), (*hexutil.Big)(tx.GasTipCap())
	if h.BaseFee != nil { // what was paid (EIP-1559)
		paid := new(big.Int).Add(tx.GasTipCap(), h.BaseFee)
		if tx.GasFeeCapIntCmp(paid) < 0 {
			paid = tx.GasFeeCap()
		}
		out.GasPrice = (*hexutil.Big)(paid)
	}
	if tx.Type() == types.BlobTxType {
		out.MaxFeePerBlobGas, out.BlobHashes = (*hexutil.Big)(tx.BlobGasFeeCap()), tx.BlobHashes()
	}
	out.Authorizations = tx.SetCodeAuthorizations()
	return out
}

// Author is who made a block, in hex: a clique network's signer, or who is paid
// for it. Empty where nobody can be told.
func (f *Family) Author(ch chain.Header) string {
	_, h, err := decodeHeader(ch.Bytes)
	if err != nil {
		return ""
	}
	if f.clique == nil || ch.Ref.Number == 0 {
		return h.Coinbase.Hex()
	}
	by, err := f.clique.signer(ch.Ref, h)
	if err != nil {
		return ""
	}
	return by.Hex()
}
