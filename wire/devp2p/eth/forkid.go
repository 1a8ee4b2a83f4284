package eth

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/starlingp2p/starling/chain"
)

// ForkID names the rules that a chain runs under (EIP-2124): a checksum over
// its genesis and the forks that it has passed, and the next one that it knows
// of, 0 if none.
type ForkID struct {
	Sum  [4]byte
	Next uint64
}

func (f ForkID) String() string { return fmt.Sprintf("%x/%d", f.Sum, f.Next) }

func (f ForkID) append(b []byte) []byte {
	next := binary.BigEndian.AppendUint64(nil, f.Next)
	for len(next) > 0 && next[0] == 0 {
		next = next[1:]
	}
	b = appendHead(b, 5+bytesSize(next))
	b = appendBytes(b, f.Sum[:])
	return appendBytes(b, next)
}

func (c *cursor) forkID() (f ForkID) {
	in := c.list()
	in.fixed(f.Sum[:])
	f.Next = in.uint()
	c.nested(&in)
	return f
}

// Forks is a fork schedule as the identifiers see it. Make it with NewForks.
type Forks struct {
	blocks, times []uint64
	sums          [][4]byte // after genesis, and after each fork
}

// NewForks makes the schedule of a chain: the numbers of its forks by block and
// the Unix seconds of its forks by time, in any order. Those that count from
// genesis on are no forks.
func NewForks(genesis chain.Hash, genesisTime uint64, blocks, times []uint64) Forks {
	tidy := func(in []uint64, least uint64) []uint64 {
		out := slices.Clone(in)
		slices.Sort(out)
		out = slices.Compact(out)
		return slices.DeleteFunc(out, func(n uint64) bool { return n <= least })
	}
	f := Forks{blocks: tidy(blocks, 0), times: tidy(times, genesisTime)}
	sum := crc32.ChecksumIEEE(genesis[:])
	f.sums = append(f.sums, [4]byte(binary.BigEndian.AppendUint32(nil, sum)))
	for _, fork := range f.all() {
		sum = crc32.Update(sum, crc32.IEEETable, binary.BigEndian.AppendUint64(nil, fork))
		f.sums = append(f.sums, [4]byte(binary.BigEndian.AppendUint32(nil, sum)))
	}
	return f
}

func (f Forks) all() []uint64 { return append(slices.Clone(f.blocks), f.times...) }

// at gives the i-th fork, and how far a chain with that head is on its axis.
func (f Forks) at(i int, head, time uint64) (fork, reached uint64) {
	if i < len(f.blocks) {
		return f.blocks[i], head
	}
	return f.times[i-len(f.blocks)], time
}

// passed is how many forks a chain with that head has behind it.
func (f Forks) passed(head, time uint64) int {
	for i := range len(f.blocks) + len(f.times) {
		if fork, reached := f.at(i, head, time); reached < fork {
			return i
		}
	}
	return len(f.blocks) + len(f.times)
}

// ID is the identifier of a chain whose head has that number and time.
func (f Forks) ID(head, time uint64) ForkID {
	i := f.passed(head, time)
	id := ForkID{Sum: f.sums[i]}
	if i < len(f.blocks)+len(f.times) {
		id.Next, _ = f.at(i, head, time)
	}
	return id
}

// firstTime is the time of Ethereum's genesis block: a greater Next is taken
// for a time (EIP-6122).
const firstTime = 1438269973

// Check says what stands against a peer with that identifier, for a chain of
// ours whose head has that number and time; nil if nothing. The rules are those
// of EIP-2124.
func (f Forks) Check(theirs ForkID, head, time uint64) error {
	i := f.passed(head, time)
	if f.sums[i] == theirs.Sum {
		reached := head
		if i >= len(f.blocks) && len(f.times) > 0 {
			reached = time
		}
		if theirs.Next > 0 && (reached >= theirs.Next || theirs.Next > firstTime && time >= theirs.Next) {
			return fmt.Errorf("eth: the peer plans a fork at %d, which our chain at block %d has passed without", theirs.Next, head)
		}
		return nil
	}
	for j, sum := range f.sums {
		switch {
		case sum != theirs.Sum:
		case j > i:
			return nil // it is ahead of us
		default:
			if fork, _ := f.at(j, head, time); fork != theirs.Next {
				return fmt.Errorf("eth: the peer's rules %v are outdated: it does not know of our fork at %d", theirs, fork)
			}
			return nil // it is behind us, and knows the way
		}
	}
	return fmt.Errorf("eth: the peer's rules %v are not those of this chain, %v", theirs, f.ID(head, time))
}
