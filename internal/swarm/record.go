package swarm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// The parts of what is saved. Bans and scores change with every fault and are
// small; the book is large and may lag.
const (
	partStanding = "standing"
	partBook     = "book"
)

// ErrSchema is reported for a record of a newer version of this software.
var ErrSchema = errors.New("swarm: record has a newer schema")

// errCorrupt is reported for a record that does not decode.
var errCorrupt = errors.New("swarm: record is corrupt")

const (
	recordMagic  = "STLP"
	recordSchema = 1
	recordHead   = len(recordMagic) + 1 + 2 + 4 // magic, part, schema, length
	maxRecord    = 48 << 20                     // bytes
)

// memory is what survives a restart.
type memory struct {
	Salt      [16]byte
	Marks     marks
	BookSaved time.Time // wall clock
	Anchors   []peer.Addr
	Entries   []entryRecord
}

// marks is the part of memory that faults change. Times are told as how long
// ago, or how much longer, at the moment Saved on the wall clock.
type marks struct {
	Saved     time.Time
	Standings []standingRecord
	Bans      []banRecord
	Prefixes  []prefixRecord
	Charges   []chargeRecord
}

type (
	standingRecord struct {
		Who  subject
		Sum  float64 // faults, as they counted when saved
		Seen time.Duration
		Hot  []hotFault // recent faults, apart
	}
	hotFault struct {
		Age    time.Duration
		Points float64
	}
	banRecord struct {
		Who    subject
		Left   time.Duration // 0: served
		Since  time.Duration // since it was served
		Nth    int
		Reason string
		Auto   bool
	}
	prefixRecord struct {
		Prefix netip.Prefix
		Left   time.Duration
		Reason string
		Auto   bool
	}
	chargeRecord struct {
		Prefix netip.Prefix
		Who    subject
		Age    time.Duration
	}
	entryRecord struct {
		Addr   peer.Addr
		ID     peer.ID
		Source wire.Source
		Group  string
		Seeded bool
		Tried  bool
		Added  time.Duration // ago
		OK     time.Duration // ago; negative: never
		Fails  int
		Marked peer.Reason
		Left   time.Duration // of the mark
	}
)

// lastMilli is the end of the year 9999.
const lastMilli = 253402300799999

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// seal puts a head and a checksum around a payload.
func seal(part byte, payload []byte) []byte {
	out := make([]byte, 0, recordHead+len(payload)+4)
	out = append(out, recordMagic...)
	out = append(out, part)
	out = binary.BigEndian.AppendUint16(out, recordSchema)
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	out = append(out, payload...)
	return binary.BigEndian.AppendUint32(out, crc32.Checksum(out, crcTable))
}

// unseal checks head and checksum, in that order: a newer schema is told apart
// from damage.
func unseal(part byte, in []byte) ([]byte, error) {
	if len(in) < recordHead+4 || len(in) > maxRecord || string(in[:4]) != recordMagic || in[4] != part {
		return nil, fmt.Errorf("%w: %d bytes, no head of this part", errCorrupt, len(in))
	}
	if v := binary.BigEndian.Uint16(in[5:]); v > recordSchema {
		return nil, fmt.Errorf("%w: %d, this version reads up to %d", ErrSchema, v, recordSchema)
	} else if v == 0 {
		return nil, fmt.Errorf("%w: schema 0", errCorrupt)
	}
	n := binary.BigEndian.Uint32(in[7:])
	if uint64(n) != uint64(len(in)-recordHead-4) {
		return nil, fmt.Errorf("%w: payload of %d bytes announced as %d", errCorrupt, len(in)-recordHead-4, n)
	}
	end := len(in) - 4
	if crc32.Checksum(in[:end], crcTable) != binary.BigEndian.Uint32(in[end:]) {
		return nil, fmt.Errorf("%w: checksum", errCorrupt)
	}
	return in[recordHead:end], nil
}

// writer appends fields.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)       { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)         { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) str(s string)        { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) dur(d time.Duration) { w.int(min(max(d, -longestBan), longestBan).Milliseconds()) }

func (w *writer) float(f float64)       { w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(f)) }
func (w *writer) time(t time.Time)      { w.int(min(max(t.UnixMilli(), 0), lastMilli)) } // a lying clock must not spoil the record
func (w *writer) prefix(p netip.Prefix) { w.str(p.String()) }
func (w *writer) bool(v bool) {
	if v {
		w.uint(1)
	} else {
		w.uint(0)
	}
}

// reader takes fields off; after the first failure all are zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.bad, r.b = true, nil }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 { // not the shortest form
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	u := r.uint()
	v := int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *reader) str(limit int) string {
	n := r.uint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) dur() time.Duration {
	v := r.int()
	const most = int64(longestBan / time.Millisecond)
	if v > most || v < -most {
		r.fail()
		return 0
	}
	return time.Duration(v) * time.Millisecond
}

func (r *reader) float(lo, hi float64) float64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	f := math.Float64frombits(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	if !(f >= lo && f <= hi) { // and no NaN
		r.fail()
		return 0
	}
	return f
}

func (r *reader) small(limit uint64) int {
	v := r.uint()
	if v > limit {
		r.fail()
	}
	return int(v)
}

func (r *reader) bool() bool {
	v := r.uint()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

func (r *reader) time() time.Time {
	v := r.int()
	if v < 0 || v > lastMilli {
		r.fail()
		return time.Time{}
	}
	return time.UnixMilli(v)
}

func (r *reader) prefix() netip.Prefix {
	s := r.str(64)
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() || p.String() != s {
		r.fail()
	}
	return p
}

// count reads how many entries follow, each of at least least bytes.
func (r *reader) count(limit, least int) int {
	n := r.uint()
	if n > uint64(limit) || n*uint64(least) > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) done() error {
	if r.bad || len(r.b) != 0 {
		return errCorrupt
	}
	return nil
}

const maxSubject = maxAddrText + 3

func encodeMarks(m marks) []byte {
	var w writer
	w.time(m.Saved)
	w.uint(uint64(len(m.Standings)))
	for _, s := range m.Standings {
		w.str(string(s.Who))
		w.float(s.Sum)
		w.dur(s.Seen)
		w.uint(uint64(len(s.Hot)))
		for _, h := range s.Hot {
			w.dur(h.Age)
			w.float(h.Points)
		}
	}
	w.uint(uint64(len(m.Bans)))
	for _, b := range m.Bans {
		w.str(string(b.Who))
		w.dur(b.Left)
		w.dur(b.Since)
		w.uint(uint64(min(b.Nth, 1<<20)))
		w.str(b.Reason)
		w.bool(b.Auto)
	}
	w.uint(uint64(len(m.Prefixes)))
	for _, p := range m.Prefixes {
		w.prefix(p.Prefix)
		w.dur(p.Left)
		w.str(p.Reason)
		w.bool(p.Auto)
	}
	w.uint(uint64(len(m.Charges)))
	for _, c := range m.Charges {
		w.prefix(c.Prefix)
		w.str(string(c.Who))
		w.dur(c.Age)
	}
	return seal('S', w.b)
}

func decodeMarks(in []byte) (m marks, err error) {
	payload, err := unseal('S', in)
	if err != nil {
		return m, err
	}
	r := reader{b: payload}
	m.Saved = r.time()
	for range r.count(maxStandings, 12) {
		s := standingRecord{Who: subject(r.str(maxSubject)), Sum: r.float(worst, 0), Seen: r.dur()}
		for range r.count(ringSize+1, 9) {
			s.Hot = append(s.Hot, hotFault{Age: r.dur(), Points: r.float(worst, 0)})
		}
		m.Standings = append(m.Standings, s)
	}
	for range r.count(maxBans, 6) {
		m.Bans = append(m.Bans, banRecord{
			Who: subject(r.str(maxSubject)), Left: r.dur(), Since: r.dur(),
			Nth: r.small(1 << 20), Reason: r.str(peer.MaxText), Auto: r.bool(),
		})
	}
	for range r.count(maxPrefixBans, 6) {
		m.Prefixes = append(m.Prefixes, prefixRecord{Prefix: r.prefix(), Left: r.dur(), Reason: r.str(peer.MaxText), Auto: r.bool()})
	}
	for range r.count(maxPrefixes*maxCharges, 6) {
		m.Charges = append(m.Charges, chargeRecord{Prefix: r.prefix(), Who: subject(r.str(maxSubject)), Age: r.dur()})
	}
	return m, r.done()
}

func encodeBook(m memory) []byte {
	var w writer
	w.time(m.BookSaved)
	w.b = append(w.b, m.Salt[:]...)
	w.uint(uint64(len(m.Anchors)))
	for _, a := range m.Anchors {
		w.str(a.Scheme)
		w.str(a.Text)
	}
	w.uint(uint64(len(m.Entries)))
	for _, e := range m.Entries {
		w.str(e.Addr.Scheme)
		w.str(e.Addr.Text)
		w.str(string(e.ID))
		w.str(string(e.Source))
		w.str(e.Group)
		w.bool(e.Seeded)
		w.bool(e.Tried)
		w.dur(e.Added)
		w.dur(e.OK)
		w.uint(uint64(min(e.Fails, 1<<20)))
		w.str(string(e.Marked))
		w.dur(e.Left)
	}
	return seal('B', w.b)
}

const maxEntries = (newBuckets + triedBuckets) * bucketSize

func decodeBook(in []byte, m *memory) error {
	payload, err := unseal('B', in)
	if err != nil {
		return err
	}
	r := reader{b: payload}
	m.BookSaved = r.time()
	if len(r.b) < len(m.Salt) {
		return errCorrupt
	}
	r.b = r.b[copy(m.Salt[:], r.b):]
	for range r.count(maxAnchors, 2) {
		m.Anchors = append(m.Anchors, peer.Addr{Scheme: r.str(maxScheme), Text: r.str(maxAddrText)})
	}
	for range r.count(maxEntries, 12) {
		m.Entries = append(m.Entries, entryRecord{
			Addr: peer.Addr{Scheme: r.str(maxScheme), Text: r.str(maxAddrText)}, ID: peer.ID(r.str(maxAddrText)),
			Source: wire.Source(r.str(32)), Group: r.str(maxSubject + 8), Seeded: r.bool(), Tried: r.bool(),
			Added: r.dur(), OK: r.dur(), Fails: r.small(1 << 20), Marked: peer.Reason(r.str(64)), Left: r.dur(),
		})
	}
	return r.done()
}
