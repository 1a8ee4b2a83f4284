package raw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starlingp2p/starling/ledger"
)

// Database is where a ledger keeps its Pebble.
func Database(ledgerDir string) string { return filepath.Join(ledgerDir, "db") }

// Settle compacts the database of a ledger that is closed, so that nothing
// disturbs whoever serves from it, and gives the bytes of its keys and values.
func Settle(ledgerDir string) (total int, err error) {
	db, err := Open(Database(ledgerDir))
	if err != nil {
		return 0, err
	}
	err = db.Compact(context.Background(), []byte{0}, []byte{0xff}, true)
	if err == nil {
		total, err = Scan(db, func(_, _ []byte) error { return nil })
	}
	return total, errors.Join(err, db.Close())
}

// Open opens a Pebble as a ledger does.
func Open(dir string) (*pebble.DB, error) {
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

// Scan walks a database in order and gives the bytes of all keys and values.
func Scan(db *pebble.DB, see func(key, value []byte) error) (total int, err error) {
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

// Same reports where two databases differ.
func Same(a, b string) error {
	da, err := Open(a)
	if err != nil {
		return err
	}
	defer da.Close()
	db, err := Open(b)
	if err != nil {
		return err
	}
	defer db.Close()
	it, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	ok := it.First()
	_, err = Scan(da, func(k, v []byte) error {
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
