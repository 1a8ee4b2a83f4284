package ontology

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const (
	alpha      = 3  // peers that are asked at once for one identity
	maxBuckets = 24 // that are refreshed: no more of a network's share leading bits with anybody
)

// distance is Kademlia's, to be compared as bytes.
func distance(a, b codec.PeerID) (d [20]byte) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// bucketOf is how many leading bits two identities share.
func bucketOf(a, b codec.PeerID) int {
	for i, x := range distance(a, b) {
		if x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 160
}

// inBucket draws an identity that shares so many leading bits with ours, and
// not the next.
func inBucket(self codec.PeerID, bucket int, r *rand.Rand) codec.PeerID {
	out := self
	out[bucket/8] ^= 0x80 >> (bucket % 8)
	for i := bucket + 1; i < 160; i++ {
		if r.IntN(2) == 0 {
			out[i/8] ^= 0x80 >> (i % 8)
		}
	}
	return out
}

// lookFor is the identity to ask for in a round: our own first, then one in each
// bucket in turn, as far as the bucket behind that of the closest peer.
func lookFor(self codec.PeerID, peers []codec.PeerID, round int, r *rand.Rand) codec.PeerID {
	last := 0
	for _, p := range peers {
		last = max(last, bucketOf(self, p)+1)
	}
	n := round % (min(last, maxBuckets) + 1)
	if n == 0 {
		return self
	}
	return inBucket(self, n-1, r)
}

// seek asks the peers that are closest to an identity for it.
func (n *node) seek(sessions []*session, target codec.PeerID) {
	sessions = slices.Clone(sessions)
	slices.SortStableFunc(sessions, func(a, b *session) int {
		x, y := distance(a.kad, target), distance(b.kad, target)
		return bytes.Compare(x[:], y[:])
	})
	for _, s := range sessions[:min(len(sessions), alpha)] {
		s.mu.Lock()
		s.addrs = min(s.addrs+1, alpha)
		s.mu.Unlock()
		s.post(s.ctx, wire.LaneHousekeeping, codec.CmdFindNode, codec.FindNode{Target: target}.Append(nil))
	}
}
