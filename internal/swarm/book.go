package swarm

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/starlingp2p/starling/internal/meter"
	"github.com/starlingp2p/starling/internal/subnet"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// The shape of the address book.
const (
	newBuckets    = 1024
	newPerGroup   = 64 // new buckets that one source group can reach
	triedBuckets  = 256
	triedPerGroup = 8 // tried buckets that one address group can reach
	bucketSize    = 16
	bookPerPrefix = 10 // addresses of one /24 or /56
	perBucket     = 2  // of them, in one bucket
	addrsPerPeer  = 8
	idsPerTarget  = 2 // identities told for one IP address and port

	creditRate  = 0.1 // addresses per second that one source is believed
	creditBurst = 64.0
	// What discovery finds without saying who told comes from many; it is
	// believed faster, and shares one group of buckets per source all the same.
	ownCreditRate  = 1.0
	ownCreditBurst = 256.0
	maxSources     = 4096

	maxAddrText = 512 // bytes
	maxScheme   = 32
	giveUpAfter = 10 // failures in a row after which a new address is let go
	maxTests    = 10 // tried entries under test for a newcomer
)

// entry is one address that we know.
type entry struct {
	addr   peer.Addr
	ep     netip.AddrPort // zero where the address has none
	id     peer.ID        // whom we expect there; may be empty
	source wire.Source
	group  string // the source's group
	seeded bool   // only seeds and DNS lists vouch for it

	added   time.Time
	lastTry time.Time
	lastOK  time.Time // zero: never proven
	fails   int       // in a row
	marked  peer.Reason
	until   time.Time // the mark's end

	tried  bool
	bucket int
	index  int // in its group's list of new entries, or in the tried list
}

// credit is how much more a source is believed.
type credit struct {
	tokens float64
	at     time.Time
}

// book is the address book: new entries in buckets that the source's group
// chooses, tried ones in buckets that their own group chooses, both under a
// secret, so that neither an address nor a source can crowd out the rest.
type book struct {
	cfg    *Config
	salt   [16]byte
	rng    *rand.Rand
	by     map[peer.Addr]*entry
	ids    map[peer.ID][]*entry
	spots  map[netip.AddrPort][]*entry
	nets   map[netip.Prefix]int // entries per /24 or /56
	fresh  [newBuckets][]*entry
	proven [triedBuckets][]*entry

	groups  []*sourceGroup // with new entries, in order of first arrival
	groupOf map[string]*sourceGroup
	tried   []*entry
	credits map[string]*credit
	tests   []test // tried entries under test
	dirty   bool
	refused *meter.Tally[string] // why addresses were not taken; anybody may read it
}

type sourceGroup struct {
	name    string
	entries []*entry
	index   int
}

// test is a tried entry that must prove itself again, or make room.
type test struct{ old, newcomer peer.Addr }

func newBook(cfg *Config, salt [16]byte, rng *rand.Rand) *book {
	return &book{
		cfg: cfg, salt: salt, rng: rng,
		by: map[peer.Addr]*entry{}, ids: map[peer.ID][]*entry{}, spots: map[netip.AddrPort][]*entry{},
		nets: map[netip.Prefix]int{}, groupOf: map[string]*sourceGroup{}, credits: map[string]*credit{},
		refused: newRefusals(),
	}
}

// newRefusals counts by reason; reasons are fixed texts.
func newRefusals() *meter.Tally[string] { return meter.NewTally[string](maxTallies, nil) }

func (b *book) len() int { return len(b.by) }

// addrGroup is the group of an entry's own address.
func (e *entry) addrGroup() string {
	if e.ep.IsValid() {
		return subnet.Operator(e.ep.Addr()).String()
	}
	return e.addr.Text
}

func (b *book) newBucket(e *entry) int {
	inner := keyed(b.salt, "new", e.addrGroup(), e.group) % newPerGroup
	return int(keyed(b.salt, "source", e.group, string(rune('0'+inner))) % newBuckets)
}

func (b *book) triedBucket(e *entry) int {
	host := e.addr.Text
	if e.ep.IsValid() {
		host = e.ep.Addr().String()
		if !b.cfg.counted(e.ep.Addr()) {
			host = e.ep.String()
		}
	}
	inner := keyed(b.salt, "tried", host) % triedPerGroup
	group := e.addrGroup()
	if e.ep.IsValid() && !b.cfg.counted(e.ep.Addr()) {
		group = host // loopback: every node is its own group
	}
	return int(keyed(b.salt, "group", group, string(rune('0'+inner))) % triedBuckets)
}

// believe takes one address's worth of credit from a source. Loopback and
// addresses of our own configuration are not counted here; the caller decides.
func (b *book) believe(key string, own bool, now time.Time) bool {
	rate, burst := creditRate, creditBurst
	if own {
		rate, burst = ownCreditRate, ownCreditBurst
	}
	c := b.credits[key]
	if c == nil {
		if len(b.credits) >= maxSources {
			b.expireCredits(now)
		}
		if len(b.credits) >= maxSources {
			b.refused.Add("too-many-sources", 1)
			return false
		}
		c = &credit{tokens: burst, at: now}
		b.credits[key] = c
	}
	c.tokens, c.at = min(burst, c.tokens+rate*now.Sub(c.at).Seconds()), now
	if c.tokens < 1 {
		return false
	}
	c.tokens--
	return true
}

// expireCredits forgets sources whose credit is full again.
func (b *book) expireCredits(now time.Time) {
	for k, c := range b.credits { // order does not matter
		if c.tokens+creditRate*now.Sub(c.at).Seconds() >= ownCreditBurst {
			delete(b.credits, k)
		}
	}
}

// origin is where an address came from, for the book.
type origin struct {
	source wire.Source
	key    string // whose credit it costs; empty: nobody's
	own    bool   // our own discovery, without a teller
	group  string // whose buckets it may enter
	seeded bool
}

// add takes an address in as new. It reports whether it was unknown and taken.
func (b *book) add(now time.Time, a peer.Addr, id peer.ID, o origin) bool {
	if a.IsZero() || len(a.Text) > maxAddrText || len(a.Scheme) > maxScheme {
		b.refused.Add("bad-address", 1)
		return false
	}
	if e := b.by[a]; e != nil {
		if e.seeded && !o.seeded {
			e.seeded = false // somebody else vouches for it
			b.dirty = true
		}
		return false
	}
	ep, inside, ok := b.cfg.endpoint(a)
	if inside != "" {
		id = inside
	}
	if len(id) > maxAddrText {
		b.refused.Add("bad-address", 1)
		return false
	}
	e := &entry{addr: a, id: id, source: o.source, group: o.group, seeded: o.seeded, added: now}
	if ok {
		e.ep = ep
		switch {
		case b.cfg.unwanted(ep):
			b.refused.Add("unwanted", 1)
			return false
		case b.cfg.restricted(ep):
			b.refused.Add("net-restricted", 1)
			return false
		case b.cfg.counted(ep.Addr()) && b.nets[subnet.Of(ep.Addr())] >= bookPerPrefix:
			b.refused.Add("prefix-full", 1)
			return false
		case len(b.spots[ep]) >= idsPerTarget:
			b.refused.Add("target-full", 1)
			return false
		}
	} else if b.cfg.Resolve != nil {
		b.refused.Add("name", 1) // names come from the configuration only: a look-up is a dial at a stranger's word
		return false
	}
	if o.key != "" && !b.believe(o.key, o.own, now) {
		b.refused.Add("no-credit", 1)
		return false
	}
	if id != "" && len(b.ids[id]) >= addrsPerPeer && !b.dropWorstOf(id) {
		b.refused.Add("peer-full", 1)
		return false
	}
	if !b.place(now, e) {
		b.refused.Add("bucket-full", 1)
		return false
	}
	b.dirty = true
	return true
}

// dropWorstOf makes room among a peer's addresses; tried ones stay.
func (b *book) dropWorstOf(id peer.ID) bool {
	var v *entry
	for _, e := range b.ids[id] {
		if !e.tried && (v == nil || e.fails > v.fails || e.fails == v.fails && e.added.Before(v.added)) {
			v = e
		}
	}
	if v == nil {
		return false
	}
	b.remove(v)
	return true
}

// place puts a new entry into its bucket, and makes room by what is worth least.
func (b *book) place(now time.Time, e *entry) bool {
	e.bucket = b.newBucket(e)
	bucket := b.fresh[e.bucket]
	if e.ep.IsValid() && b.cfg.counted(e.ep.Addr()) && b.samePrefix(bucket, e) >= perBucket {
		return false
	}
	if len(bucket) >= bucketSize {
		v := bucket[b.rng.IntN(len(bucket))]
		for _, o := range bucket {
			if o.fails > v.fails {
				v = o
			}
		}
		if v.fails == 0 && now.Sub(v.added) < time.Hour {
			return false // full of what is as good
		}
		b.remove(v)
	}
	b.fresh[e.bucket] = append(b.fresh[e.bucket], e)
	b.index(e)
	b.join(e)
	return true
}

func (b *book) samePrefix(bucket []*entry, e *entry) (n int) {
	p := subnet.Of(e.ep.Addr())
	for _, o := range bucket {
		if o.ep.IsValid() && subnet.Of(o.ep.Addr()) == p {
			n++
		}
	}
	return n
}

// index files e under its address, identity, target and prefix.
func (b *book) index(e *entry) {
	b.by[e.addr] = e
	if e.id != "" {
		b.ids[e.id] = append(b.ids[e.id], e)
	}
	if e.ep.IsValid() {
		b.spots[e.ep] = append(b.spots[e.ep], e)
		b.nets[subnet.Of(e.ep.Addr())]++
	}
}

// join enters a new entry into its source group's list.
func (b *book) join(e *entry) {
	g := b.groupOf[e.group]
	if g == nil {
		g = &sourceGroup{name: e.group, index: len(b.groups)}
		b.groups = append(b.groups, g)
		b.groupOf[e.group] = g
	}
	e.index = len(g.entries)
	g.entries = append(g.entries, e)
}

func (b *book) leave(e *entry) {
	g := b.groupOf[e.group]
	last := len(g.entries) - 1
	g.entries[e.index] = g.entries[last]
	g.entries[e.index].index = e.index
	g.entries = g.entries[:last]
	if last == 0 {
		end := len(b.groups) - 1
		b.groups[g.index] = b.groups[end]
		b.groups[g.index].index = g.index
		b.groups = b.groups[:end]
		delete(b.groupOf, e.group)
	}
}

// remove forgets an entry.
func (b *book) remove(e *entry) {
	b.dirty = true
	delete(b.by, e.addr)
	if e.id != "" {
		if b.ids[e.id] = without(b.ids[e.id], e); len(b.ids[e.id]) == 0 {
			delete(b.ids, e.id)
		}
	}
	if e.ep.IsValid() {
		if b.spots[e.ep] = without(b.spots[e.ep], e); len(b.spots[e.ep]) == 0 {
			delete(b.spots, e.ep)
		}
		if p := subnet.Of(e.ep.Addr()); b.nets[p] <= 1 {
			delete(b.nets, p)
		} else {
			b.nets[p]--
		}
	}
	if e.tried {
		b.untry(e)
		return
	}
	b.fresh[e.bucket] = without(b.fresh[e.bucket], e)
	b.leave(e)
}

// untry takes e out of the tried buckets.
func (b *book) untry(e *entry) {
	b.proven[e.bucket] = without(b.proven[e.bucket], e)
	last := len(b.tried) - 1
	b.tried[e.index] = b.tried[last]
	b.tried[e.index].index = e.index
	b.tried = b.tried[:last]
	e.tried = false
}

func without(es []*entry, e *entry) []*entry {
	if i := slices.Index(es, e); i >= 0 {
		return slices.Delete(es, i, i+1)
	}
	return es
}
