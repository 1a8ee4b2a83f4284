//go:build !amd64

package keccak

func fast() bool { return false }

func absorbBlocks(*[25]uint64, *byte, int) { panic("keccak: not on this machine") }

func wide() bool { return false }

func permute8(*[25][width]uint64) { panic("keccak: not on this machine") }
