package ontology

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
)

// Bounds of the files that a node keeps beside its chain.
const (
	maxPeersFile = 1 << 20 // bytes
	maxPeersKept = 1000    // addresses that are read
	recentV1     = 10      // addresses that v1.0.0 keeps
)

// ParseRecent reads the addresses of a peers.recent: v1.0.0's list, or a newer
// release's lists by the magic of the network. What is no IP address and port
// is left out.
func ParseRecent(file []byte, magic uint32) ([]netip.AddrPort, error) {
	if len(file) > maxPeersFile {
		return nil, fmt.Errorf("ontology: peers.recent has %d bytes, at most %d are read", len(file), maxPeersFile)
	}
	var list []string
	if json.Unmarshal(file, &list) != nil {
		var byMagic map[string][]string
		if err := json.Unmarshal(file, &byMagic); err != nil {
			return nil, fmt.Errorf("ontology: peers.recent is neither a list nor lists by magic: %w", err)
		}
		list = byMagic[strconv.FormatUint(uint64(magic), 10)]
	}
	var out []netip.AddrPort
	for _, s := range list[:min(len(list), maxPeersKept)] {
		if a, err := netip.ParseAddrPort(s); err == nil && a.Port() != 0 {
			out = append(out, netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()))
		}
	}
	return out, nil
}

// MergeRecent writes a peers.recent over an old one: a list, as v1.0.0 does, where
// that is one, else what newer releases write, with other networks' lists left as
// they are. old may be empty.
func MergeRecent(old []byte, magic uint32, addrs []netip.AddrPort) ([]byte, error) {
	list := []string{}
	for _, a := range addrs[:min(len(addrs), maxPeersKept)] {
		list = append(list, a.String())
	}
	var file any
	byMagic := map[string][]string{}
	switch {
	case len(old) > 0 && json.Unmarshal(old, new([]string)) == nil:
		file = list[:min(len(list), recentV1)]
	case len(old) > 0 && json.Unmarshal(old, &byMagic) != nil:
		byMagic = map[string][]string{}
		fallthrough
	default:
		byMagic[strconv.FormatUint(uint64(magic), 10)] = list
		file = byMagic
	}
	b, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("ontology: peers.recent: %w", err)
	}
	return b, nil
}

// Reserved is a peers.rsv.
type Reserved struct {
	Reserved []string     // the only peers of a node that is restricted to them: IP addresses, and names to be resolved
	Mask     []netip.Addr // addresses that others are never told
}

// ParseReserved reads a peers.rsv. Addresses are exact, where v1.0.0 compares
// beginnings, so that 1.2.3.4 lets 1.2.3.40 in.
func ParseReserved(file []byte) (Reserved, error) {
	if len(file) > maxPeersFile {
		return Reserved{}, fmt.Errorf("ontology: peers.rsv has %d bytes, at most %d are read", len(file), maxPeersFile)
	}
	var f struct {
		Reserved []string `json:"reserved"`
		Mask     []string `json:"mask"`
	}
	if err := json.Unmarshal(file, &f); err != nil {
		return Reserved{}, fmt.Errorf("ontology: peers.rsv: %w", err)
	}
	var r Reserved
	for _, s := range f.Reserved[:min(len(f.Reserved), maxPeersKept)] {
		if a, err := netip.ParseAddr(s); err == nil {
			s = a.Unmap().WithZone("").String()
		} else if !isName(s) {
			return Reserved{}, fmt.Errorf("ontology: peers.rsv: %.80q is neither an IP address nor a name", s)
		}
		r.Reserved = append(r.Reserved, s)
	}
	for _, s := range f.Mask[:min(len(f.Mask), maxPeersKept)] {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return Reserved{}, fmt.Errorf("ontology: peers.rsv: mask %.80q is no IP address", s)
		}
		r.Mask = append(r.Mask, a.Unmap().WithZone(""))
	}
	return r, nil
}
