package keccak

import "golang.org/x/sys/cpu"

// fast reports whether the machine has what absorbBlocks takes.
func fast() bool { return cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL }

// absorbBlocks takes blocks of rate bytes into a state, at least one.
//
//go:noescape
func absorbBlocks(state *[25]uint64, from *byte, blocks int)

// wide reports whether eight states can be permuted at once.
func wide() bool { return cpu.X86.HasAVX512F }

// permute8 applies Keccak-f[1600] to eight states at once.
//
//go:noescape
func permute8(state *[25][width]uint64)
