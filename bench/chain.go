package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"

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
	db, err := openStore(database(dir))
	if err != nil {
		return source{}, err
	}
	err = db.Compact(context.Background(), []byte{0}, []byte{0xff}, true)
	if err == nil {
		s.Bytes, err = scan(db, func(_, _ []byte) error { return nil })
	}
	return s, errors.Join(err, db.Close())
}

// database is where a ledger keeps its Pebble.
func database(ledgerDir string) string { return filepath.Join(ledgerDir, "db") }

// openStore opens a Pebble as a ledger does.
func openStore(dir string) (*pebble.DB, error) {
	o := ledger.StoreOptions(32 << 20)
	o.Logger = quiet{}
	return pebble.Open(dir, o)
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// scan walks a database in order and gives the bytes of all keys and values.
func scan(db *pebble.DB, see func(key, value []byte) error) (total int, err error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = see(it.Key(), v)
		}
		if err != nil {
			return total, errors.Join(err, it.Close())
		}
		total += len(it.Key()) + len(v)
	}
	return total, errors.Join(it.Error(), it.Close())
}

// same reports where two databases differ.
func same(a, b string) error {
	da, err := openStore(a)
	if err != nil {
		return err
	}
	defer da.Close()
	db, err := openStore(b)
	if err != nil {
		return err
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	ok := it.First()
	_, err = scan(da, func(k, v []byte) error {
		if !ok {
			return fmt.Errorf("bench: %x is missing", k)
		}
		if !bytes.Equal(k, it.Key()) || !bytes.Equal(v, it.Value()) {
			return fmt.Errorf("bench: %x has %d bytes, want %x with %d", it.Key(), len(it.Value()), k, len(v))
		}
		ok = it.Next()
		return nil
	})
	if err == nil && ok {
		err = fmt.Errorf("bench: %x is too many", it.Key())
	}
	return errors.Join(err, it.Close())
}
