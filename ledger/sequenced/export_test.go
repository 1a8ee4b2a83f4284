package sequenced

// JournalHead begins a journal.
const JournalHead = journalHead

// DecodeJournal is what restores a journal.
func DecodeJournal(b []byte, maxTx int) (txs [][]byte, good int, err error) {
	return decodeJournal(b, maxTx)
}

// AppendRecord appends a record of a journal.
func AppendRecord(dst, tx []byte) []byte { return appendRecord(dst, tx) }

// JournalSize is the size of the pool's journal.
func (p *Pool) JournalSize() int64 { return p.journal.size }
