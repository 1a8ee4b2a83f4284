package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/starlingp2p/starling/bench/internal/raw"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/sequenced"
)

// blockOverhead is what a block takes beside the data of its one transaction,
// in bytes: header, length and the transaction's own fields.
const blockOverhead = 161 + 4 + 125

func sequencerKey() ed25519.PrivateKey { return sequenced.KeyFromSeed([32]byte{1}) }
func senderKey() ed25519.PrivateKey    { return sequenced.KeyFromSeed([32]byte{2}) }

// family is the network that is synced; the same in all processes.
func family() (*sequenced.Family, error) {
	key := sequencerKey()
	return sequenced.New(sequenced.Config{
		Network: "bench", SequencerKey: key.Public().(ed25519.PublicKey),
		GenesisTime: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		Alloc:       map[sequenced.Address]uint64{sequenced.AddressOf(senderKey()): 1 << 40},
	})
}

// source is a generated chain.
type source struct {
	Dir   string // of the ledger
	Head  chain.Ref
	Bytes int // keys and values of its database
}

// generate makes a ledger of blocks of size bytes each, and settles its
// database, so that no compaction disturbs whoever serves from it.
func generate(dir string, blocks, size int) (source, error) {
	if size < blockOverhead+1 {
		return source{}, fmt.Errorf("bench: block of %d bytes, want at least %d", size, blockOverhead+1)
	}
	f, err := family()
	if err != nil {
		return source{}, err
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		return source{}, err
	}
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	data := make([]byte, size-blockOverhead)
	parent := f.Spec().Genesis.Header
	batch := make([]chain.Block, 0, 64)
	for n := range blocks {
		random.Read(data) // does not compress
		tx := sequenced.NewData(f.Genesis(), senderKey(), uint64(n), data, 0)
		b := f.Seal(sequencerKey(), parent, parent.Time.Add(time.Second), []chain.Tx{tx})
		if b.Size() != size {
			return source{}, errors.Join(fmt.Errorf("bench: a block has %d bytes, want %d", b.Size(), size), l.Close())
		}
		parent = b.Header
		if batch = append(batch, b); len(batch) == cap(batch) || n == blocks-1 {
			if _, err := l.Import(context.Background(), batch); err != nil {
				return source{}, errors.Join(err, l.Close())
			}
			batch = batch[:0]
		}
	}
	s := source{Dir: dir, Head: l.Status().Head}
	if err := l.Close(); err != nil {
		return source{}, err
	}
	s.Bytes, err = raw.Settle(dir)
	return s, err
}
