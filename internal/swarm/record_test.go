package swarm

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/starlingp2p/starling/peer"
)

func sampleMarks() marks {
	p := netip.MustParsePrefix("7.7.7.0/24")
	return marks{
		Saved:     epoch,
		Standings: []standingRecord{{Who: "id:a", Sum: -3.5, Seen: time.Hour, Hot: []hotFault{{time.Second, -10}, {0, -1}}}},
		Bans:      []banRecord{{Who: "id:b", Left: time.Hour, Nth: 2, Reason: "wrong-block", Auto: true}, {Who: "ip:1.2.3.4", Since: time.Minute}},
		Prefixes:  []prefixRecord{{Prefix: p, Left: time.Minute, Reason: "x"}},
		Charges:   []chargeRecord{{Prefix: p, Who: "id:b", Age: time.Second}},
	}
}

func sampleBook() memory {
	return memory{
		Salt: [16]byte{1, 2, 3}, BookSaved: epoch, Anchors: []peer.Addr{at("x@1.2.3.4:5")},
		Entries: []entryRecord{{Addr: at("a@9.9.9.9:1"), ID: "a", Source: "kademlia", Group: "own:kademlia", Tried: true, Added: time.Hour, OK: -time.Millisecond, Fails: 3, Marked: peer.WrongGenesis, Left: time.Hour}},
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	m, err := decodeMarks(encodeMarks(sampleMarks()))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sampleMarks(), m, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateApproxTime(0)); d != "" {
		t.Error(d)
	}
	var b memory
	if err := decodeBook(encodeBook(sampleBook()), &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sampleBook(), b, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateApproxTime(0)); d != "" {
		t.Error(d)
	}
}

func TestEveryFlippedByteOfARecordIsFound(t *testing.T) {
	good := encodeMarks(sampleMarks())
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decodeMarks(bad); err == nil {
			t.Errorf("byte %d of %d flipped and not found", i, len(good))
		}
	}
	for i := range good {
		if _, err := decodeMarks(good[:i]); err == nil {
			t.Errorf("cut to %d bytes and not found", i)
		}
	}
}

// Threat S-07: a newer schema is refused by name, and left as it is; damage is
// set aside, said and survived.
func TestNewerRecordsAreRefusedAndDamagedOnesSetAside(t *testing.T) {
	dir := t.TempDir()
	s := FileStore(dir)
	newer := encodeMarks(sampleMarks())
	newer[5], newer[6] = 0, recordSchema+1
	if err := s.Save(partStanding, newer); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Dial: noDial, Store: s}); !errors.Is(err, ErrSchema) {
		t.Errorf("New with a newer record = %v, want ErrSchema", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "standing.rec"), []byte("not a record"), 0o600); err != nil {
		t.Fatal(err)
	}
	sw, err := New(Config{Dial: noDial, Store: s})
	if err != nil {
		t.Fatalf("New with a damaged record = %v", err)
	}
	if len(sw.alarm) != 1 {
		t.Errorf("%d alarms, want 1", len(sw.alarm))
	}
	if got, err := os.ReadFile(filepath.Join(dir, "standing.rec.corrupt")); err != nil || string(got) != "not a record" {
		t.Errorf("the damaged record: %q, %v", got, err)
	}
}

func TestFileStoreReplacesAtomically(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "peers")
	s := FileStore(dir)
	if got, err := s.Load("book"); got != nil || err != nil {
		t.Errorf("Load of nothing = %v, %v", got, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := s.Save("book", []byte(want)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load("book"); string(got) != want || err != nil {
			t.Errorf("Load = %q, %v, want %q", got, err, want)
		}
	}
	for name, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "book.rec"): 0o600} {
		fi, err := os.Stat(name)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v, want %v", filepath.Base(name), fi.Mode(), err, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.tmp")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A disk that takes nothing is an alarm, not an end; what was not saved is saved later.
func TestFailedSaveIsAlarmedAndRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(time.Millisecond)
		store := &flakyStore{fail: true}
		a := n.join(t, "a", "1.0.0.1:1", Config{Store: store})
		if err := a.Ban(t.Context(), ByID("b"), time.Hour, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if count[Alarm](a) == 0 {
			t.Error("no alarm")
		}
		if n := count[Alarm](a); n > 10 {
			t.Errorf("%d alarms in 30 s", n)
		}
		store.set(false)
		time.Sleep(11 * time.Second)
		data, _ := store.Load(partStanding)
		if m, err := decodeMarks(data); err != nil || len(m.Bans) != 1 {
			t.Errorf("after the disk came back: %+v, %v", m, err)
		}
	})
}

type flakyStore struct {
	MemStore
	fail bool
}

func (s *flakyStore) set(fail bool) { s.mu.Lock(); s.fail = fail; s.mu.Unlock() }

func (s *flakyStore) Save(name string, data []byte) error {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail {
		return errors.New("no space left on device")
	}
	return s.MemStore.Save(name, data)
}

func FuzzMarks(f *testing.F) {
	seed := encodeMarks(sampleMarks())
	f.Add(seed[recordHead : len(seed)-4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		in := seal('S', payload)
		m, err := decodeMarks(in)
		if err != nil {
			return
		}
		if got := encodeMarks(m); !bytes.Equal(got, in) {
			t.Fatalf("round trip:\n%x\n%x", in, got)
		}
		now := epoch.Add(time.Hour)
		c := newCore(Config{Dial: noDial, Seed: 1, ProvenIdentity: true}.withDefaults(), now, now, memory{Marks: m})
		for s, st := range c.board.by {
			if v := st.score(now); v < worst || v > 100 || v != v {
				t.Fatalf("score of %s = %v", s, v)
			}
		}
		for _, b := range c.bans.by {
			if b.until.Sub(now) > longestBan {
				t.Fatalf("ban for %v", b.until.Sub(now))
			}
		}
		c.Step(now, inTick{Wall: now})
	})
}

func FuzzBook(f *testing.F) {
	seed := encodeBook(sampleBook())
	f.Add(seed[recordHead : len(seed)-4])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		in := seal('B', payload)
		var m memory
		if decodeBook(in, &m) != nil {
			return
		}
		if got := encodeBook(m); !bytes.Equal(got, in) {
			t.Fatalf("round trip:\n%x\n%x", in, got)
		}
		now := epoch.Add(time.Hour)
		c := newCore(Config{Dial: noDial, Seed: 1, Endpoint: endpointOfAddr, ProvenIdentity: true}.withDefaults(), now, now, m)
		checkBook(t, c.book)
		for i := range 100 {
			now = now.Add(time.Second)
			for _, e := range c.Step(now, inTick{Wall: now}) {
				if d, ok := e.(effDial); ok {
					c.Step(now, inDialed{Slot: d.Slot, OK: i%2 == 0, Reason: peer.DialFailed})
				}
			}
		}
		checkBook(t, c.book)
	})
}

// FuzzUnseal feeds whole files.
func FuzzUnseal(f *testing.F) {
	f.Add(encodeMarks(sampleMarks()))
	f.Add(encodeBook(sampleBook()))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, part := range []byte{'S', 'B'} {
			if payload, err := unseal(part, in); err == nil && in[6] == recordSchema && !bytes.Equal(seal(part, payload), in) {
				t.Fatalf("round trip of %x", in)
			}
		}
	})
}
