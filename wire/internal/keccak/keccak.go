package keccak

// Size is the length of a hash.
const Size = 32

const (
	rate  = 136 // bytes that one permutation takes in
	words = rate / 8
)
