package swarm

import (
	"fmt"
	"testing"
	"time"

	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

func testBook() *book {
	cfg := Config{Dial: noDial, Endpoint: endpointOfAddr, ProvenIdentity: true}.withDefaults()
	return newBook(&cfg, [16]byte{1}, env.NewRand(1))
}

func TestBookKeepsAtMostEightAddressesOfAPeerAndTheProvenOnes(t *testing.T) {
	b := testBook()
	first := at("p@20.0.0.1:1")
	b.add(epoch, first, "p", origin{group: "g"})
	b.succeeded(epoch, b.by[first])
	for i := range 100 {
		b.add(epoch.Add(time.Duration(i)*time.Second), at(fmt.Sprintf("p@%d.0.0.1:1", 21+i)), "p", origin{group: fmt.Sprintf("g%d", i)})
	}
	if n := len(b.ids["p"]); n != addrsPerPeer {
		t.Errorf("%d addresses of one peer, want %d", n, addrsPerPeer)
	}
	if e := b.by[first]; e == nil || !e.tried {
		t.Error("hearsay pushed the proven address out")
	}
	checkBook(t, b)
}

func TestSourceIsBelievedATenthOfAnAddressASecond(t *testing.T) {
	b := testBook()
	n := 0
	tell := func(now time.Time, k int) (taken int) {
		for range k {
			n++
			if b.add(now, at(fmt.Sprintf("%d.%d.%d.1:1", 20+n%200, n/200%250, n%250)), "", origin{group: fmt.Sprintf("g%d", n), key: "liar"}) {
				taken++
			}
		}
		return taken
	}
	if got := tell(epoch, 1000); got != int(creditBurst) {
		t.Errorf("%d addresses taken at once, want %v", got, creditBurst)
	}
	if got := tell(epoch.Add(100*time.Second), 1000); got != 10 {
		t.Errorf("%d taken 100 s later, want 10", got)
	}
}

// A newcomer does not push a proven address out: that is tested first, and
// makes room only if it answers no more.
func TestFullTriedBucketIsTestedBeforeItMakesRoom(t *testing.T) {
	for _, answers := range []bool{true, false} {
		b := testBook()
		var full []*entry
		var newcomer *entry
		for i := 0; newcomer == nil; i++ {
			a := at(fmt.Sprintf("h%d@%d.%d.%d.1:1", i, 20+i%200, i/200%250, i/50000))
			if !b.add(epoch, a, peer.ID(fmt.Sprint("h", i)), origin{group: fmt.Sprintf("g%d", i%500)}) {
				continue
			}
			e := b.by[a]
			if b.triedBucket(e) != 3 {
				continue
			}
			if len(full) == bucketSize {
				newcomer = e
				break
			}
			b.succeeded(epoch.Add(time.Duration(len(full))*time.Second), e)
			full = append(full, e)
		}
		now := epoch.Add(5 * time.Hour)
		b.succeeded(now, newcomer)
		if newcomer.tried || len(b.tests) != 1 || b.tests[0].old != full[0].addr {
			t.Fatalf("newcomer tried = %v, tests = %v, want a test of the oldest", newcomer.tried, b.tests)
		}
		if answers {
			b.succeeded(now, full[0])
		} else {
			b.failed(now, full[0])
		}
		if newcomer.tried == answers || full[0].tried != answers || len(b.tests) != 0 {
			t.Errorf("answers %v: newcomer tried = %v, old tried = %v", answers, newcomer.tried, full[0].tried)
		}
		checkBook(t, b)
	}
}

func TestSeededMarkFallsWhenSomebodyElseVouches(t *testing.T) {
	b := testBook()
	a := at("x@20.0.0.1:1")
	b.add(epoch, a, "x", origin{source: wire.SourceDNS, group: "own:dns", seeded: true})
	if !b.by[a].seeded {
		t.Fatal("not seeded")
	}
	b.add(epoch, a, "x", origin{source: wire.SourceExchange, group: "net:9.9.0.0/16", key: "net:9.9.0.0/16"})
	if b.by[a].seeded {
		t.Error("still seeded")
	}
}

// Two books with different secrets put the same addresses into different buckets.
func TestBucketsDependOnTheSecret(t *testing.T) {
	a, b := testBook(), testBook()
	b.salt[0] = 2
	same := 0
	for i := range 200 {
		e := &entry{addr: at(fmt.Sprint(i)), group: fmt.Sprint("g", i)}
		if a.newBucket(e) == b.newBucket(e) {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d of 200 in the same bucket", same)
	}
}

func TestFaultsOfTheLastHalfLifeCountInFull(t *testing.T) {
	charge := func(ages ...time.Duration) float64 {
		now := epoch.Add(24 * time.Hour)
		st := &standing{baseAt: epoch, creditAt: epoch}
		for _, a := range ages {
			st.charge(now.Add(-a), peer.High)
		}
		st.fold(now)
		return st.faults(now)
	}
	m := time.Minute
	tests := []struct {
		ages []time.Duration
		want float64
	}{
		{[]time.Duration{5 * time.Second, 0}, -20},
		{[]time.Duration{9*m + 59*time.Second, 8 * m, 5 * m, 2 * m, 0}, -50},
		{[]time.Duration{10 * m}, -5},
		{[]time.Duration{20 * m}, -2.5},
		{[]time.Duration{20 * m, 0}, -12.5},
		{[]time.Duration{20 * m, 10 * m, 0}, -17.5},
	}
	for _, tt := range tests {
		if got := charge(tt.ages...); got < tt.want-0.001 || got > tt.want+0.001 {
			t.Errorf("faults of age %v sum to %v, want %v", tt.ages, got, tt.want)
		}
	}
	st := &standing{baseAt: epoch, creditAt: epoch}
	for range 1000 {
		st.earn(epoch, 1)
	}
	if got := st.charge(epoch, peer.Fatal); got != -100 || st.score(epoch) != -90 {
		t.Errorf("credit weighs against faults: %v, score %v", got, st.score(epoch))
	}
	if len(st.recent) > ringSize+1 {
		t.Errorf("%d faults kept", len(st.recent))
	}
}

// Threats of the ban list: 10,000 identities, the one that ends first goes.
func TestBanListIsBounded(t *testing.T) {
	b := newBanTable()
	for i := range maxBans + 50 {
		b.add(subject(fmt.Sprintf("id:%05d", i)), epoch.Add(time.Duration(i)*time.Millisecond), 0, "x", true)
	}
	if len(b.by) != maxBans {
		t.Errorf("%d bans, want %d", len(b.by), maxBans)
	}
	now := epoch.Add(time.Minute)
	if b.running("id:00049", now) || !b.running("id:00050", now) {
		t.Error("not the oldest went")
	}
}

// Where identities are not proven, reputation goes by address: a liar that
// takes an honest peer's name harms only its own address.
func TestUnprovenIdentityIsJudgedByAddress(t *testing.T) {
	w := newWorld(t, 1)
	u := w.unit("me", "1.0.0.1:1000", Config{}, memory{})
	u.c.cfg.ProvenIdentity = false
	u.c.cfg.Duplicate = wire.PerAddress
	s, _ := u.call("victim", "6.6.6.6:1")
	u.step(inOffended{Sid: s, ID: "victim", Offense: peer.WrongBlock})
	if _, why := u.call("another-name", "6.6.6.6:2"); why != peer.Banned {
		t.Errorf("another name at that address: %q", why)
	}
	if _, why := u.call("victim", "7.7.7.7:1"); why != peer.OK {
		t.Errorf("the victim at its own address: %q", why)
	}
	if _, why := u.call("victim", "8.8.8.8:1"); why != peer.Duplicate {
		t.Errorf("a squatter elsewhere: %q", why)
	}
}
