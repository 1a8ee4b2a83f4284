package sequenced

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
	journalHead    = "starling transaction journal 1\n"
	recordOverhead = 8
	rotateSlack    = 1 << 20
	// maxJournal bounds what is read of a file; localBytes fits many times.
	maxJournal = 512 << 20
)

// errJournalVersion: the file is not a journal of this version.
var errJournalVersion = errors.New("sequenced: not a transaction journal of version 1")

func appendRecord(dst, tx []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(tx)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(tx, crc32.MakeTable(crc32.Castagnoli)))
	return append(dst, tx...)
}

// decodeJournal gives the transactions of a journal and how many bytes of it
// are good. They share b's memory.
func decodeJournal(b []byte, maxTx int) (txs [][]byte, good int, err error) {
	if len(b) < len(journalHead) {
		if string(b) == journalHead[:len(b)] {
			return nil, 0, nil // torn as it was created
		}
		return nil, 0, errJournalVersion
	}
	if string(b[:len(journalHead)]) != journalHead {
		return nil, 0, errJournalVersion
	}
	good = len(journalHead)
	for {
		rest := b[good:]
		if len(rest) < recordOverhead {
			return txs, good, nil
		}
		n := binary.BigEndian.Uint32(rest)
		if n == 0 || int64(n) > int64(maxTx) || int64(n) > int64(len(rest)-recordOverhead) {
			return txs, good, nil
		}
		tx := rest[recordOverhead : recordOverhead+n : recordOverhead+n]
		if crc32.Checksum(tx, crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(rest[4:]) {
			return txs, good, nil
		}
		txs = append(txs, tx)
		good += recordOverhead + int(n)
	}
}

type journal struct {
	fs     vfs.FS
	path   string
	file   vfs.File // nil after a failed write, until the next rewrite
	failed error    // that write's
	size   int64
	closed bool
}

// openJournal reads what is there. The caller rewrites it before it appends,
// which also drops a torn tail of lost bytes.
func openJournal(fs vfs.FS, path string, maxTx int) (j *journal, txs [][]byte, lost int, err error) {
	j = &journal{fs: fs, path: path}
	f, err := fs.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return j, nil, 0, nil
	}
	if err != nil {
		return nil, nil, 0, fmt.Errorf("sequenced: open journal: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, 0, fmt.Errorf("sequenced: read journal %s: %w", path, err)
	}
	txs, good, err := decodeJournal(b, maxTx)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%w: %s; move it away to start an empty one", err, path)
	}
	return j, txs, len(b) - good, nil
}

// append adds transactions and syncs them. After an error the file is not
// trusted with more until it is rewritten, which the next append does not do.
func (j *journal) append(txs []chain.Tx) error {
	switch {
	case j.closed:
		return errors.New("sequenced: the journal is closed")
	case j.failed != nil:
		return fmt.Errorf("sequenced: the journal takes nothing until the next head, when it is written anew, since a write to it failed: %w", j.failed)
	}
	n := 0
	for _, t := range txs {
		n += recordOverhead + len(t.Bytes)
	}
	b := make([]byte, 0, n)
	for _, t := range txs {
		b = appendRecord(b, t.Bytes)
	}
	_, err := j.file.Write(b)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		err = errors.Join(err, j.file.Close())
		j.file, j.failed, j.size = nil, err, 1<<62 // the next change of head rewrites it
		return fmt.Errorf("sequenced: append to journal %s: %w", j.path, err)
	}
	j.size += int64(n)
	return nil
}

// rewrite replaces the journal: after a power loss it is the old one or the
// new one.
func (j *journal) rewrite(txs []chain.Tx) error {
	tmp := j.path + ".tmp"
	f, err := j.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("sequenced: rewrite journal: %w", err)
	}
	b := []byte(journalHead)
	for _, t := range txs {
		b = appendRecord(b, t.Bytes)
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
		return fmt.Errorf("sequenced: rewrite journal %s: %w", j.path, errors.Join(err, f.Close()))
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

func (j *journal) close() error {
	j.closed = true
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
