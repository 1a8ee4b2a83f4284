package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/starlingp2p/starling/chain"
)

// sortedRules is a copy by name.
func sortedRules(rs []Rule) []Rule {
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return rs
}

func specOf(s Spec) storedSpec {
	return storedSpec{network: s.Network, genesis: s.Genesis.Header.Ref, rules: sortedRules(s.Rules)}
}

// encode is: genesis, then the network's name and the rules, strings with a
// length of two bytes.
func (s storedSpec) encode() []byte {
	text := func(b []byte, t string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...)
	}
	b := text(encodeRef(s.genesis), s.network)
	for _, r := range s.rules {
		b = binary.BigEndian.AppendUint64(text(b, r.Name), r.From)
		if r.ByTime {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

func decodeSpec(b []byte) (s storedSpec, err error) {
	bad := func() (storedSpec, error) { return storedSpec{}, fmt.Errorf("network record is cut short") }
	if len(b) < 42 {
		return bad()
	}
	s.genesis, _ = decodeRef(b[:40])
	b = b[40:]
	text := func() (string, bool) {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
			return "", false
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		t := string(b[2:n])
		b = b[n:]
		return t, true
	}
	var ok bool
	if s.network, ok = text(); !ok {
		return bad()
	}
	for len(b) > 0 {
		var r Rule
		if r.Name, ok = text(); !ok || len(b) < 9 || b[8] > 1 {
			return bad()
		}
		r.From, r.ByTime = binary.BigEndian.Uint64(b), b[8] == 1
		b = b[9:]
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// difference is a difference between two schedules: from the lower of have and
// want on, a block is judged differently.
type difference struct {
	rule       string
	have, want uint64
	byTime     bool
}

func (c difference) first() uint64 { return min(c.have, c.want) }

// differences lists the differences of two schedules, which are sorted by name.
func differences(have, want []Rule) []difference {
	var cs []difference
	for len(have) > 0 || len(want) > 0 {
		switch {
		case len(want) == 0 || len(have) > 0 && have[0].Name < want[0].Name:
			cs = append(cs, difference{have[0].Name, have[0].From, Never, have[0].ByTime})
			have = have[1:]
		case len(have) == 0 || want[0].Name < have[0].Name:
			cs = append(cs, difference{want[0].Name, Never, want[0].From, want[0].ByTime})
			want = want[1:]
		default:
			h, w := have[0], want[0]
			if h.ByTime != w.ByTime { // two schedules on different axes
				cs = append(cs, difference{h.Name, h.From, Never, h.ByTime}, difference{w.Name, Never, w.From, w.ByTime})
			} else if h.From != w.From {
				cs = append(cs, difference{h.Name, h.From, w.From, h.ByTime})
			}
			have, want = have[1:], want[1:]
		}
	}
	return slices.DeleteFunc(cs, func(c difference) bool { return c.first() == Never })
}

// touches reports whether the block h is judged differently by c.
func (c difference) touches(h chain.Header) bool {
	if c.byTime {
		return h.Time.Unix() >= 0 && uint64(h.Time.Unix()) >= c.first()
	}
	return h.Ref.Number >= c.first()
}
