package main

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/starlingp2p/starling/interop/peers/steer"
)

// blobTx signs a transaction of the faucet with one blob, which its nonce marks.
// Its proofs are of cells: this geth takes no others into its pool.
func (m *maker) blobTx(nonce uint64) (*types.Transaction, error) {
	blob := new(kzg4844.Blob)
	blob[5] = byte(nonce)
	commitment, err := kzg4844.BlobToCommitment(blob)
	if err != nil {
		return nil, err
	}
	proofs, err := kzg4844.ComputeCellProofs(blob)
	if err != nil {
		return nil, err
	}
	return types.SignNewTx(m.key, types.LatestSigner(m.genesis.Config), &types.BlobTx{
		ChainID: uint256.MustFromBig(m.genesis.Config.ChainID), Nonce: nonce, To: common.Address{0xbb}, Gas: params.TxGas, Value: new(uint256.Int),
		GasFeeCap: uint256.NewInt(2 * params.InitialBaseFee), GasTipCap: uint256.NewInt(params.GWei), BlobFeeCap: uint256.NewInt(params.GWei),
		BlobHashes: []common.Hash{kzg4844.CalcBlobHashV1(sha256.New(), &commitment)},
		Sidecar:    types.NewBlobTxSidecar(types.BlobSidecarVersion1, []kzg4844.Blob{*blob}, []kzg4844.Commitment{commitment}, proofs),
	})
}

// made is a transaction with its blobs, as peers send it.
type made struct {
	Hash  string        `json:"hash"`
	Bytes hexutil.Bytes `json:"bytes"`
}

// blobs makes Count transactions with blobs, from the nonce Number on, and puts
// them into the pool unless Mode is "elsewhere".
func (n *node) blobs(c steer.Command) (out []made, err error) {
	for nonce := c.Number; nonce < c.Number+uint64(c.Count); nonce++ {
		tx, err := n.maker.blobTx(nonce)
		if err != nil {
			return nil, err
		}
		b, err := tx.MarshalBinary()
		if err != nil {
			return nil, err
		}
		out = append(out, made{tx.Hash().Hex(), b})
		if c.Mode == "elsewhere" {
			continue
		}
		if err := errors.Join(n.Eth.TxPool().Add([]*types.Transaction{tx}, true)...); err != nil {
			return nil, fmt.Errorf("transaction with nonce %d: %w", nonce, err)
		}
	}
	return out, nil
}
