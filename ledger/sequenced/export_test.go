package sequenced

import "github.com/starlingp2p/starling/ledger/internal/txjournal"

// JournalHead begins a journal.
const JournalHead = txjournal.Head

// DecodeJournal is what restores a journal.
func DecodeJournal(b []byte, maxTx int) (txs [][]byte, good int, err error) {
	return txjournal.Decode(b, maxTx)
}

// AppendRecord appends a record of a journal.
func AppendRecord(dst, tx []byte) []byte { return txjournal.AppendRecord(dst, tx) }
