//go:build !amd64

package lanes

func wide() bool { return false }

func permute8(*[25][width]uint64, *[24]uint64) { panic("lanes: there are none on this machine") }
