package codec

import (
	"cmp"
	"strconv"
	"strings"
)

// Soft is a parsed SoftVersion. The zero Soft is none: a node before v1.6.0, or
// one whose version nobody can read.
type Soft struct {
	major, minor, patch int
	pre                 string
	ok                  bool
}

// ParseSoft reads a SoftVersion tolerantly: "v2.5.9", "1.9.1-beta", "2.0".
func ParseSoft(s string) Soft {
	s = strings.TrimPrefix(strings.TrimSpace(s), "v")
	s, _, _ = strings.Cut(s, "+")
	numbers, pre, _ := strings.Cut(s, "-")
	parts := strings.Split(numbers, ".")
	if len(parts) > 3 {
		return Soft{}
	}
	v := Soft{pre: pre, ok: true}
	for i, n := range []*int{&v.major, &v.minor, &v.patch}[:len(parts)] {
		x, err := strconv.ParseUint(parts[i], 10, 31)
		if err != nil {
			return Soft{}
		}
		*n = int(x)
	}
	return v
}

// atLeast compares as semantic versions do; a pre-release is below its release.
func (s Soft) atLeast(o Soft) bool {
	if !s.ok {
		return false
	}
	if c := cmp.Or(cmp.Compare(s.major, o.major), cmp.Compare(s.minor, o.minor), cmp.Compare(s.patch, o.patch)); c != 0 {
		return c > 0
	}
	switch {
	case s.pre == o.pre || s.pre == "":
		return true
	case o.pre == "":
		return false
	}
	return s.pre >= o.pre
}

// Known reports whether the version could be read.
func (s Soft) Known() bool { return s.ok }

// Dialect is Strict where the node writes and demands canonical encodings.
func (s Soft) Dialect() Dialect { return Dialect(s.atLeast(Soft{major: 1, minor: 6, ok: true})) }

// Kad reports whether the node shakes hands with a Kademlia identity, provided
// that both sides do.
func (s Soft) Kad() bool { return s.atLeast(Soft{major: 1, minor: 9, patch: 1, pre: "beta", ok: true}) }

// Finds reports whether the node answers FindNode.
func (s Soft) Finds() bool { return s.atLeast(Soft{major: 1, minor: 10, ok: true}) }

// DualPort reports whether the node may have a second port, for consensus.
func (s Soft) DualPort() bool { return !s.atLeast(Soft{major: 1, minor: 7, ok: true}) }
