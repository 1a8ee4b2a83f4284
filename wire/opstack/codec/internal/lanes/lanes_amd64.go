package lanes

import "golang.org/x/sys/cpu"

// wide reports whether eight lanes can be permuted at once.
func wide() bool { return cpu.X86.HasAVX512F }

// permute8 applies Keccak-f[1600] to eight states at once, with rc as the
// constants of its rounds.
//
//go:noescape
func permute8(state *[25][width]uint64, rc *[24]uint64)
