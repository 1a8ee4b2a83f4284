package ledger

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
)

// OpenSchema is Open by a program whose schema is another, with steps to it.
func OpenSchema(dir string, o Options, version int, steps map[int]func(*pebble.DB) error) (*Ledger, error) {
	return openSchema(dir, o, schema{version, steps})
}

// Each calls fn for everything that is stored, by ascending key.
func (l *Ledger) Each(fn func(key, sealed []byte)) error {
	return l.store.read(func(db *pebble.DB) error {
		it, err := db.NewIter(nil)
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			fn(it.Key(), it.Value())
		}
		return it.Close()
	})
}

// Set stores a value as it is, seal and all.
func (l *Ledger) Set(key, sealed []byte) error {
	l.recent = newRecent() // or the damage would not be met
	return l.store.read(func(db *pebble.DB) error { return db.Set(key, sealed, pebble.Sync) })
}

// SetPlace stores a transaction's entry in the index, under a good seal.
func (l *Ledger) SetPlace(hash chain.Hash, place []byte) error {
	key := []byte(hashed(keyTx, hash))
	sealed := make([]byte, sealLen+len(place))
	seal(sealed, key, place)
	return l.Set(key, sealed)
}

// Unset removes a value.
func (l *Ledger) Unset(key []byte) error {
	l.recent = newRecent() // or it would not be missed
	return l.store.read(func(db *pebble.DB) error { return db.Delete(key, pebble.Sync) })
}

// Flush writes the memtable to a table.
func (l *Ledger) Flush() error {
	return l.store.read(func(db *pebble.DB) error { return db.Flush() })
}

// Reading keeps the store from being swapped while fn runs.
func (l *Ledger) Reading(ctx context.Context, fn func()) error {
	return l.view(ctx, func(*pebble.DB) error { fn(); return nil })
}

// DecodeUndo, DecodeSpec and DecodeInfo decode and encode again.
func DecodeUndo(b []byte) ([]byte, error) {
	ws, err := decodeUndo(b)
	return encodeUndo(ws), err
}

func DecodeSpec(b []byte) ([]byte, error) {
	s, err := decodeSpec(b)
	return s.encode(), err
}

func DecodeInfo(b []byte) ([]byte, error) {
	i, err := decodeInfo(b)
	return i.encode(), err
}

// StoreFiles opens Pebble with a ledger's options on a directory of its own.
func StoreFiles(fs vfs.FS, dir string) (*pebble.DB, error) {
	o := StoreOptions(0)
	o.FS = fs
	o.Logger = quiet{}
	return pebble.Open(dir, o)
}

// quiet says nothing, and stops the test where Pebble would the process.
type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

// TxBlock says which canonical block holds a transaction, and where in it.
func (l *Ledger) TxBlock(ctx context.Context, hash chain.Hash) (at chain.Ref, index int, err error) {
	err = l.view(ctx, func(db *pebble.DB) (err error) {
		snap := db.NewSnapshot()
		defer snap.Close()
		at, index, err = placeOf(snap, hash)
		return err
	})
	return at, index, err
}
