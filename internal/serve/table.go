package serve

import (
	"net/netip"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
)

// account is what one peer, or one prefix, may still have. The server's lock
// guards all but the channels.
type account struct {
	bytes bucket.Bucket
	slots chan struct{} // requests at work in the chain
	apps  chan struct{} // and in the application
	under int           // requests that wait or run

	quiet time.Time // after a refusal: until when it was told to stay away
	limit string    // of that refusal
	grace int       // requests that may have been under way when it was told
}

// idle reports whether forgetting the account loses nothing.
func (a *account) idle(now time.Time) bool {
	return a.under == 0 && !now.Before(a.quiet) && a.bytes.Full(now)
}

// accounts are bounded: where the one that was used longest ago still
// matters, newcomers share one account, so that churn never brings a fresh
// budget.
type accounts[K comparable] struct {
	lru    *simplelru.LRU[K, *account]
	max    int
	make   func(now time.Time) *account
	shared *account
}

func newAccounts[K comparable](most int, mk func(time.Time) *account) *accounts[K] {
	lru, err := simplelru.NewLRU[K, *account](most, nil)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &accounts[K]{lru: lru, max: most, make: mk}
}

func (t *accounts[K]) of(k K, now time.Time) (a *account, crowded bool) {
	if a, ok := t.lru.Get(k); ok {
		return a, false
	}
	if t.lru.Len() >= t.max {
		if _, oldest, ok := t.lru.GetOldest(); ok && !oldest.idle(now) {
			if t.shared == nil {
				t.shared = t.make(now)
			}
			return t.shared, true
		}
	}
	a = t.make(now)
	t.lru.Add(k, a)
	return a, false
}

// keyOf is whom a peer's budget belongs to: its identity where that is
// proven, else its address.
func keyOf(p peer.Info) string {
	if p.Proven || !p.Endpoint.IsValid() {
		return "id " + string(p.ID)
	}
	return "ip " + p.Endpoint.Addr().Unmap().WithZone("").String()
}

// prefixOf is the /24 or /56 of an address, and whether the prefix rule holds.
func prefixOf(a netip.Addr, countLoopback bool) (netip.Prefix, bool) {
	a = a.Unmap()
	if !a.IsValid() || a.IsLoopback() && !countLoopback {
		return netip.Prefix{}, false
	}
	return subnet.Of(a), true
}
