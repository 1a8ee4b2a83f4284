package keccak

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/crypto"
)

// width is how many states are permuted at once.
const width = 8

// A Message is Head and Tail in sequence: none needs to be copied to be hashed
// behind what is put before it.
type Message struct{ Head, Tail []byte }

// Sum puts the hash of each message into out, which must be as long. It keeps
// none of them, and is safe for concurrent use.
func Sum[H ~[Size]byte](out []H, of []Message) {
	switch {
	case len(of) == 0:
	case wide() && len(of) > 1:
		many(out, of)
	default:
		one(out, of)
	}
}

// one hashes messages one by one.
func one[H ~[Size]byte](out []H, of []Message) {
	h := crypto.NewKeccakState()
	for i, m := range of {
		h.Reset()
		h.Write(m.Head)
		h.Write(m.Tail)
		h.Read(out[i][:])
	}
}

// lane is a message under way.
type lane struct {
	Message
	to   int  // its place; below 0: the lane is free
	last bool // its padding is in
}

// many hashes eight messages at a time; a lane that is done takes the next.
func many[H ~[Size]byte](out []H, of []Message) {
	var state [25][width]uint64
	var at [width]lane
	next, busy := 0, 0
	for i := range at {
		at[i].to = -1
		if next < len(of) {
			at[i] = lane{Message: of[next], to: next}
			next++
			busy++
		}
	}
	for busy > 0 {
		for i := range at {
			if at[i].to >= 0 {
				at[i].absorb(&state, i)
			}
		}
		permute8(&state)
		for i := range at {
			l := &at[i]
			if l.to < 0 || !l.last {
				continue
			}
			for w := range Size / 8 {
				binary.LittleEndian.PutUint64(out[l.to][8*w:], state[w][i])
			}
			if next == len(of) {
				l.to = -1
				busy--
				continue
			}
			*l = lane{Message: of[next], to: next}
			next++
			for w := range state {
				state[w][i] = 0
			}
		}
	}
}

// absorb takes the next bytes of a message into lane i of a state, with the
// padding behind the last of them.
func (l *lane) absorb(state *[25][width]uint64, i int) {
	if len(l.Head) == 0 && len(l.Tail) >= rate {
		mix(state, i, (*[rate]byte)(l.Tail))
		l.Tail = l.Tail[rate:]
		return
	}
	var block [rate]byte
	n := copy(block[:], l.Head)
	l.Head = l.Head[n:]
	m := copy(block[n:], l.Tail)
	l.Tail = l.Tail[m:]
	if n+m < rate {
		block[n+m] = 0x01 // Keccak's padding, from before SHA-3
		block[rate-1] |= 0x80
		l.last = true
	}
	mix(state, i, &block)
}

func mix(state *[25][width]uint64, i int, block *[rate]byte) {
	i &= width - 1
	for w := range words {
		state[w][i] ^= binary.LittleEndian.Uint64(block[8*w:])
	}
}
