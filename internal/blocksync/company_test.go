package blocksync

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Where a network's nodes wait for company, so does a forward sync, and says so.
func TestForwardSyncWaitsForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(300)
		n := start(t, fresh, func(c *Config) { c.MinPeers = 3 })
		ps := names("p", 3, full)
		n.join(ps[:2]...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := fresh.Head().Header.Ref.Number; got != 0 {
			t.Errorf("with two peers of three it is at %d", got)
		}
		if st := n.Status(); st.StuckCause != CauseFewPeers || !strings.Contains(st.StuckReason, "2 of 3") {
			t.Errorf("cause %q, reason %q", st.StuckCause, st.StuckReason)
		}
		n.join(ps[2])
		n.reaches(300, time.Minute)
		n.innocent(ps...)
	})
}

// Where the wait is bounded, the sync begins with those that are there.
func TestForwardSyncWaitsForCompanyOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(300)
		n := start(t, fresh, func(c *Config) { c.MinPeers, c.MinPeersFor = 5, 10*time.Second })
		first := newFake("first", full)
		n.join(first)
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if got := fresh.Head().Header.Ref.Number; got != 0 {
			t.Errorf("with one peer of five it is at %d after 9 s", got)
		}
		if st := n.Status(); st.StuckCause != CauseFewPeers || !strings.Contains(st.StuckReason, "1 of 5 (10s at most)") {
			t.Errorf("cause %q, reason %q", st.StuckCause, st.StuckReason)
		}
		n.reaches(300, 5*time.Second)
		n.innocent(first)
	})
}

func TestForwardSyncBeginsAtOnceInCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, fresh := source(300)
		n := start(t, fresh, func(c *Config) { c.MinPeers, c.MinPeersFor = 5, time.Hour })
		n.join(names("p", 5, full)...)
		n.reaches(300, 5*time.Second)
	})
}
