package ethereum

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"
	"github.com/holiman/uint256"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// sidecar is that of one blob.
func sidecar(t *testing.T, version byte) *types.BlobTxSidecar {
	t.Helper()
	blob := new(kzg4844.Blob)
	blob[5] = 7
	commitment, err := kzg4844.BlobToCommitment(blob)
	if err != nil {
		t.Fatal(err)
	}
	var proofs []kzg4844.Proof
	if version == types.BlobSidecarVersion1 {
		proofs, err = kzg4844.ComputeCellProofs(blob)
	} else {
		proofs = make([]kzg4844.Proof, 1)
		proofs[0], err = kzg4844.ComputeBlobProof(blob, commitment)
	}
	if err != nil {
		t.Fatal(err)
	}
	return types.NewBlobTxSidecar(version, []kzg4844.Blob{*blob}, []kzg4844.Commitment{commitment}, proofs)
}

// blobTx commits to a sidecar; fee is each of its fees in gwei.
func blobTx(t *testing.T, nonce, fee uint64, s *types.BlobTxSidecar) chain.Tx {
	t.Helper()
	hasher, one := sha256.New(), s.Commitments[0]
	return signed(t, key(t, 1), &types.BlobTx{
		ChainID: uint256.MustFromBig(mergedConfig().ChainID), Nonce: nonce, Gas: 21000,
		GasTipCap: uint256.NewInt(fee * gwei), GasFeeCap: uint256.NewInt(fee * gwei), BlobFeeCap: uint256.NewInt(fee * gwei), Value: new(uint256.Int),
		BlobHashes: []common.Hash{kzg4844.CalcBlobHashV1(hasher, &one)}, Sidecar: s,
	})
}

// forks are the two forms of sidecars, with the forks that have them.
func forks() map[byte]*params.ChainConfig {
	osaka := mergedConfig()
	osaka.OsakaTime = new(uint64)
	return map[byte]*params.ChainConfig{types.BlobSidecarVersion0: mergedConfig(), types.BlobSidecarVersion1: osaka}
}

// Threat T-07 (CVE-2026-22868): blobs with a wrong proof are fatal for their
// deliverer, and whatever is cheaper to see is seen first, a missing sidecar
// among it; none hides the true transaction.
func TestPoolVerifiesBlobs(t *testing.T) {
	for version, cfg := range forks() {
		p, _ := poolOf(t, testFamily(t, cfg))
		p.Warm()
		good := sidecar(t, version)
		tx := blobTx(t, 0, 2, good)
		wrong := good.Copy()
		other := new(kzg4844.Blob)
		other[9] = 1
		wrong.Blobs[0] = *other
		swapped := good.Copy()
		swapped.Commitments[0][0] ^= 1
		short := good.Copy()
		short.Proofs = nil
		with := func(s *types.BlobTxSidecar) chain.Tx {
			var t2 types.Transaction
			if err := t2.UnmarshalBinary(tx.Bytes); err != nil {
				t.Fatal(err)
			}
			b, err := t2.WithBlobTxSidecar(s).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			return chain.Tx{Bytes: b}
		}
		bare := new(types.Transaction)
		if err := bare.UnmarshalBinary(tx.Bytes); err != nil {
			t.Fatal(err)
		}
		without, _ := bare.WithoutBlobTxSidecar().MarshalBinary()
		for _, tt := range []struct {
			tx       chain.Tx
			reason   string
			severity peer.Severity
		}{
			{with(wrong), badProof, peer.Fatal},
			{with(swapped), "bad-sidecar", peer.High},
			{with(short), "bad-sidecar", peer.High},
			{chain.Tx{Bytes: without}, "no-sidecar", peer.High},
		} {
			if v := p.Add([]chain.Tx{tt.tx})[0]; v != chain.RejectedAt(tt.severity, tt.reason) {
				t.Errorf("version %d: %v of severity %v, want %s of %v", version, v, v.Severity, tt.reason, tt.severity)
			}
		}
		if p.Has(tx.Hash) {
			t.Error("a spoilt copy hides the true transaction")
		}
		vs := p.Add([]chain.Tx{with(wrong), tx})
		if vs[1] != chain.Ignored(chain.Unchecked) {
			t.Errorf("after a wrong proof the next is %v", vs[1])
		}
		add(t, p, "ignore: sidecar-of-another-fork", blobTx(t, 0, 2, sidecar(t, 1-version)))
		add(t, p, "accept", tx)
		add(t, p, "ignore: known", tx)
		got, _ := p.Get(tx.Hash)
		if !bytes.Equal(got.Bytes, tx.Bytes) || got.Kind != types.BlobTxType {
			t.Error("the transaction is not given with its blobs")
		}
		add(t, p, "ignore: underpriced-replacement", blobTx(t, 0, 3, good))
		dear := blobTx(t, 0, 4, good)
		add(t, p, "accept", dear)
		wantPending(t, p, dear)
	}
}

func TestPoolBoundsBlobs(t *testing.T) {
	p, _ := poolOf(t, testFamily(t, forks()[types.BlobSidecarVersion1]))
	many := sidecar(t, types.BlobSidecarVersion1)
	for len(many.Blobs) < 7 { // EIP-7594 allows six
		many.Blobs, many.Commitments, many.Proofs = append(many.Blobs, many.Blobs[0]), append(many.Commitments, many.Commitments[0]), append(many.Proofs, many.Proofs[:kzg4844.CellProofsPerBlob]...)
	}
	hash := kzg4844.CalcBlobHashV1(sha256.New(), &many.Commitments[0])
	data := &types.BlobTx{
		ChainID: uint256.MustFromBig(mergedConfig().ChainID), Gas: 21000, GasTipCap: uint256.NewInt(gwei), GasFeeCap: uint256.NewInt(gwei),
		BlobFeeCap: uint256.NewInt(gwei), Value: new(uint256.Int), Sidecar: many,
	}
	for range many.Blobs {
		data.BlobHashes = append(data.BlobHashes, hash)
	}
	add(t, p, "ignore: too-many-blobs", signed(t, key(t, 1), data))
	if v := p.Add([]chain.Tx{{Bytes: append([]byte{types.BlobTxType}, make([]byte, maxBlobTx)...)}})[0]; v != chain.Rejected("too-large") {
		t.Errorf("more than a mebibyte: %v", v)
	}
}
