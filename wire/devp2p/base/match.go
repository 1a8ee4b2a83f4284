package base

import (
	"cmp"
	"slices"
)

// Offer is a protocol that we speak, and how many message codes it takes.
type Offer struct {
	Cap
	Length uint64
}

// Share is a protocol that a session speaks, and its first message code.
type Share struct {
	Offer
	Offset uint64
}

// Match shares out the message codes: of each name the highest version that
// both sides have, in the order of the names, behind the base protocol (RLPx
// specification, "Message ID-based multiplexing").
func Match(ours []Offer, theirs []Cap) []Share {
	best := map[string]Offer{}
	for _, o := range ours {
		if slices.Contains(theirs, o.Cap) && (best[o.Name].Name == "" || o.Version > best[o.Name].Version) {
			best[o.Name] = o
		}
	}
	shares := make([]Share, 0, len(best))
	for _, o := range best { // the order is made below
		shares = append(shares, Share{Offer: o})
	}
	slices.SortFunc(shares, func(a, b Share) int { return cmp.Compare(a.Name, b.Name) })
	offset := uint64(Offset)
	for i := range shares {
		shares[i].Offset = offset
		offset += shares[i].Length
	}
	return shares
}

// Caps are offers as Hello tells them, in order.
func Caps(ours []Offer) []Cap {
	caps := make([]Cap, len(ours))
	for i, o := range ours {
		caps[i] = o.Cap
	}
	slices.SortFunc(caps, func(a, b Cap) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return caps
}
