//go:build !amd64

package keccak

func fast() bool { return false }

func absorbBlocks(*[25]uint64, *[24]uint64, *byte, int) { panic("keccak: not on this machine") }
