package txjournal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
)

// The journal of own transactions: a line with its version, then records of
// length 4, CRC-32C 4, transaction. Appending is followed by a sync. A record
// that does not fit ends the journal: it was torn by a crash.
const (
	// Head begins a journal.
	Head = "starling transaction journal 1\n"
	// RecordOverhead is what a record takes beside its transaction, in bytes.
	RecordOverhead = 8
	// rotateSlack is by how much a journal may outgrow twice its live content.
	rotateSlack = 1 << 20
	// maxJournal bounds what is read of a file: many times what a pool holds of
	// its own.
	maxJournal = 512 << 20
)

// ErrVersion: the file is not a journal of this version.
var ErrVersion = errors.New("txjournal: not a transaction journal of version 1")

// AppendRecord appends a record of a journal.
func AppendRecord(dst, tx []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(tx)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(tx, crc32.MakeTable(crc32.Castagnoli)))
	return append(dst, tx...)
}

// Decode gives the transactions of a journal and how many bytes of it
// are good. They share b's memory.
func Decode(b []byte, maxTx int) (txs [][]byte, good int, err error) {
	if len(b) < len(Head) {
		if string(b) == Head[:len(b)] {
			return nil, 0, nil // torn as it was created
		}
		return nil, 0, ErrVersion
	}
	if string(b[:len(Head)]) != Head {
		return nil, 0, ErrVersion
	}
	good = len(Head)
	for {
		rest := b[good:]
		if len(rest) < RecordOverhead {
			return txs, good, nil
		}
		n := binary.BigEndian.Uint32(rest)
		if n == 0 || int64(n) > int64(maxTx) || int64(n) > int64(len(rest)-RecordOverhead) {
			return txs, good, nil
		}
		tx := rest[RecordOverhead : RecordOverhead+n : RecordOverhead+n]
		if crc32.Checksum(tx, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(rest[4:]) {
			return txs, good, nil
		}
		txs = append(txs, tx)
		good += RecordOverhead + int(n)
	}
}

// Journal is the file of one pool. It is not safe for concurrent use. Opened, it
// takes nothing before the first Rewrite.
type Journal struct {
	fs     vfs.FS
	path   string
	file   vfs.File // nil after a failed write, until the next rewrite
	failed error    // that write's
	size   int64
	closed bool
}

// Open reads what is there, in transactions of at most maxTx bytes. The caller rewrites it before it appends,
// which also drops a torn tail of lost bytes.
func Open(fs vfs.FS, path string, maxTx int) (j *Journal, txs [][]byte, lost int, err error) {
	j = &Journal{fs: fs, path: path}
	f, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("txjournal: open journal: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, 0, fmt.Errorf("txjournal: read journal %s: %w", path, err)
	}
	txs, good, err := Decode(b, maxTx)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%w: %s; move it away to start an empty one", err, path)
	}
	return j, txs, len(b) - good, nil
}

// Append adds transactions and syncs them. After an error the file is not
// trusted with more until it is rewritten, which the next append does not do.
func (j *Journal) Append(txs []chain.Tx) error {
	switch {
	case j.closed:
		return errors.New("txjournal: the journal is closed")
	case j.file == nil && j.failed == nil:
		return errors.New("txjournal: the journal was not rewritten after it was opened")
	case j.failed != nil:
		return fmt.Errorf("txjournal: the journal takes nothing until the next head, when it is written anew, since a write to it failed: %w", j.failed)
	}
	n := 0
	for _, t := range txs {
		n += RecordOverhead + len(t.Bytes)
	}
	b := make([]byte, 0, n)
	for _, t := range txs {
		b = AppendRecord(b, t.Bytes)
	}
	_, err := j.file.Write(b)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		err = errors.Join(err, j.file.Close())
		j.file, j.failed, j.size = nil, err, 1<<62 // the next change of head rewrites it
		return fmt.Errorf("txjournal: append to journal %s: %w", j.path, err)
	}
	j.size += int64(n)
	return nil
}

// Rewrite replaces the journal: after a power loss it is the old one or the
// new one.
func (j *Journal) Rewrite(txs []chain.Tx) error {
	tmp := j.path + ".tmp"
	f, err := j.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("txjournal: rewrite journal: %w", err)
	}
	b := []byte(Head)
	for _, t := range txs {
		b = AppendRecord(b, t.Bytes)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = j.fs.Rename(tmp, j.path)
	}
	if err == nil {
		err = syncDir(j.fs, j.fs.PathDir(j.path))
	}
	if err != nil {
		return fmt.Errorf("txjournal: rewrite journal %s: %w", j.path, errors.Join(err, f.Close()))
	}
	if j.file != nil {
		j.file.Close() // nothing in it is needed any more
	}
	j.file, j.failed, j.size = f, nil, int64(len(b))
	return nil
}

func syncDir(fs vfs.FS, path string) error {
	d, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Due reports whether most of an open journal is no longer needed, if what
// still is takes live bytes, records' overhead included.
func (j *Journal) Due(live int64) bool { return !j.closed && j.size > 2*live+rotateSlack }

// Closed reports whether Close was called.
func (j *Journal) Closed() bool { return j.closed }

// Close closes the file; nothing more is written.
func (j *Journal) Close() error {
	j.closed = true
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
