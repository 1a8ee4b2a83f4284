package main

import (
	"crypto/elliptic"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/ontio/ontology-crypto/ec"
	"github.com/ontio/ontology-crypto/keypair"
	sig "github.com/ontio/ontology-crypto/signature"
	"github.com/ontio/ontology/account"
	cmdutils "github.com/ontio/ontology/cmd/utils"
	"github.com/ontio/ontology/common"
	"github.com/ontio/ontology/common/config"
	"github.com/ontio/ontology/core/genesis"
	"github.com/ontio/ontology/core/ledger"
	"github.com/ontio/ontology/core/signature"
	"github.com/ontio/ontology/core/types"
	"github.com/ontio/ontology/core/utils"
)

// accountOf is the account of a P-256 key in hex.
func accountOf(text string) (*account.Account, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("key %q: want 32 bytes in hex", text)
	}
	key := ec.ConstructPrivateKey(raw, elliptic.P256())
	pub := &ec.PublicKey{Algorithm: ec.ECDSA, PublicKey: &key.PublicKey}
	return &account.Account{
		PrivateKey: &ec.PrivateKey{Algorithm: ec.ECDSA, PrivateKey: key}, PublicKey: pub,
		Address: types.AddressFromPubKey(pub), SigScheme: sig.SHA256withECDSA,
	}, nil
}

// openLedger opens the ledger of the configured network.
func openLedger(dir string) error {
	var err error
	if ledger.DefLedger, err = ledger.NewLedger(filepath.Join(dir, "chain")); err != nil {
		return err
	}
	keys, err := config.DefConfig.GetBookkeepers()
	if err != nil {
		return err
	}
	block, err := genesis.BuildGenesisBlock(keys, config.DefConfig.Genesis)
	if err != nil {
		return err
	}
	return ledger.DefLedger.Init(keys, block)
}

// extend makes blocks up to a height, each with txs transfers of ONT. They are a
// function of the signer, the height and txs; but an ECDSA signature is random,
// so that two nodes have the same blocks only if one gave them to the other.
func extend(signer *account.Account, to uint32, txs int) error {
	l := ledger.DefLedger
	next, err := types.AddressFromBookkeepers([]keypair.PublicKey{signer.PublicKey})
	if err != nil {
		return err
	}
	for l.GetCurrentBlockHeight() < to {
		height := l.GetCurrentBlockHeight() + 1
		prev, err := l.GetHeaderByHash(l.GetCurrentBlockHash())
		if err != nil {
			return err
		}
		block := &types.Block{Header: &types.Header{
			PrevBlockHash: prev.Hash(), Timestamp: prev.Timestamp + 1, Height: height, ConsensusData: uint64(height), NextBookkeeper: next,
		}}
		var hashes []common.Uint256
		for i := 0; i < txs; i++ {
			tx, err := makeTransfer(signer, height*uint32(txs)+uint32(i))
			if err != nil {
				return err
			}
			block.Transactions = append(block.Transactions, tx)
			hashes = append(hashes, tx.Hash())
		}
		block.Header.TransactionsRoot = common.ComputeMerkleRoot(hashes)
		block.Header.BlockRoot = l.GetBlockRootWithNewTxRoot(block.Header.TransactionsRoot)
		hash := block.Hash()
		signed, err := signature.Sign(signer, hash[:])
		if err != nil {
			return err
		}
		block.Header.Bookkeepers, block.Header.SigData = []keypair.PublicKey{signer.PublicKey}, [][]byte{signed}
		if err := l.AddBlock(block); err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
	}
	return nil
}

// makeTransfer signs a transfer of one ONT, all of which are the lone
// bookkeeper's at first, to whoever the number stands for.
func makeTransfer(signer *account.Account, nonce uint32) (*types.Transaction, error) {
	to := common.Address{byte(nonce), byte(nonce >> 8), 1}
	tx, err := cmdutils.TransferTx(0, 20000, cmdutils.ASSET_ONT, signer.Address.ToBase58(), to.ToBase58(), 1)
	if err != nil {
		return nil, err
	}
	tx.Nonce = nonce
	return tx, cmdutils.SignTransaction(signer, tx)
}

// makeTx signs an invocation that pushes a number.
func makeTx(signer *account.Account, nonce uint32) (*types.Transaction, error) {
	tx := utils.NewInvokeTransaction([]byte{0x51})
	tx.Nonce, tx.GasLimit = nonce, 20000
	return tx, cmdutils.SignTransaction(signer, tx)
}
