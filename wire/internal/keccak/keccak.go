package keccak

// Size is the length of a hash.
const Size = 32

const (
	rate  = 136 // bytes that one permutation takes in
	words = rate / 8
)

// constants are those of the rounds: bit 2^j-1 of that of round i is bit j+7i of
// the shift register of FIPS 202, section 3.2.5.
func constants() (rc [24]uint64) {
	for bit, register := 0, uint16(1); bit < 7*len(rc); bit++ {
		if register&1 == 1 {
			rc[bit/7] |= 1 << (1<<(bit%7) - 1)
		}
		if register <<= 1; register > 0xff {
			register ^= 0x171
		}
	}
	return rc
}
