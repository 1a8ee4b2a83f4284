package ethereum

import (
	"crypto/sha256"
	"errors"

	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto/kzg4844"
	"github.com/ethereum/go-ethereum/params"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// sidecarForm checks that a transaction's blobs came with it and are those that
// it commits to, as far as hashing tells. It is cheap, so that nobody buys an
// expensive proof check with counts that do not agree.
func sidecarForm(t *types.Transaction) chain.Verdict {
	s, hashes := t.BlobTxSidecar(), t.BlobHashes()
	if s == nil {
		return chain.Rejected("no-sidecar")
	}
	proofs := len(hashes)
	if s.Version == types.BlobSidecarVersion1 {
		proofs *= kzg4844.CellProofsPerBlob
	}
	if s.Version > types.BlobSidecarVersion1 || len(s.Blobs) != len(hashes) || len(s.Commitments) != len(hashes) || len(s.Proofs) != proofs {
		return chain.Rejected("bad-sidecar")
	}
	hasher := sha256.New()
	for i := range hashes {
		if kzg4844.CalcBlobHashV1(hasher, &s.Commitments[i]) != hashes[i] {
			return chain.Rejected("bad-sidecar")
		}
	}
	return chain.Verdict{}
}

// sidecarNow holds a sidecar against the rules at a head: proofs are those of
// whole blobs before Osaka, and those of cells from it on (EIP-7594).
func (p *Pool) sidecarNow(t *types.Transaction, h head) chain.Verdict {
	c := p.c.Family.c.Chain
	version, most := types.BlobSidecarVersion0, eip4844.MaxBlobsPerBlock(c, h.time)
	if c.IsOsaka(h.number, h.time) {
		version, most = types.BlobSidecarVersion1, min(most, params.BlobTxMaxBlobs)
	}
	switch s := t.BlobTxSidecar(); {
	case s.Version != version:
		return chain.Ignored("sidecar-of-another-fork")
	case len(s.Blobs) > most:
		return chain.Ignored("too-many-blobs")
	case t.BlobGasFeeCap().Sign() == 0: // params.BlobTxMinBlobGasprice is 1
		return chain.Ignored("blob-fee-too-low")
	}
	return chain.Verdict{}
}

// verifyBlobs checks the proofs of a sidecar that has the right form. It takes
// milliseconds for each blob.
func verifyBlobs(t *types.Transaction) chain.Verdict {
	s := t.BlobTxSidecar()
	var err error
	if s.Version == types.BlobSidecarVersion1 {
		err = kzg4844.VerifyCellProofs(s.Blobs, s.Commitments, s.Proofs)
	} else {
		for i := range s.Blobs {
			err = errors.Join(err, kzg4844.VerifyBlobProof(&s.Blobs[i], s.Commitments[i], s.Proofs[i]))
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return chain.RejectedAt(peer.Fatal, badProof)
	}
	return chain.Verdict{}
}

// Warm makes the tables ready that proofs of blobs are checked with, where the
// network has blobs. It takes a second or so, which else the first transaction
// with blobs would wait for.
func (p *Pool) Warm() {
	if p.c.Family.c.Chain.CancunTime == nil {
		return
	}
	blob := new(kzg4844.Blob)
	commitment, err := kzg4844.BlobToCommitment(blob)
	if err == nil {
		var proof kzg4844.Proof
		if proof, err = kzg4844.ComputeBlobProof(blob, commitment); err == nil {
			err = kzg4844.VerifyBlobProof(blob, commitment, proof)
		}
	}
	if err != nil {
		p.c.Logger.Error("ethereum: the library for proofs of blobs does not work", "err", err)
	}
}
