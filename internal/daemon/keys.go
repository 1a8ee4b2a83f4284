package daemon

import (
	"bytes"
	"reflect"
	"strings"
)

// lineOf finds the line of a key, by its last part.
func lineOf(raw []byte, key string) int {
	last := key[strings.LastIndexByte(key, '.')+1:]
	for i, line := range bytes.Split(raw, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		after, found := strings.CutPrefix(text, last)
		if found && strings.HasPrefix(strings.TrimSpace(after), "=") || strings.HasPrefix(text, "["+key) || strings.HasPrefix(text, "[["+key) {
			return i + 1
		}
	}
	return 0
}

// nearest gives the known key, with its table, that is most like an unknown
// one, if any is. Of several the one in the same table wins.
func nearest(key string) string {
	table, last := "", key
	if at := strings.LastIndexByte(key, '.'); at >= 0 {
		table, last = key[:at+1], key[at+1:]
	}
	if len(last) > maxKey {
		return ""
	}
	best, bestAt := "", 6
	for _, t := range []struct {
		prefix string
		value  any
	}{{"", Config{}}, {"rpc.", RPC{}}, {"network.", Network{}}, {"network.limits.", Limits{}}, {"network.sequenced.", Sequenced{}}} {
		for _, k := range keysOf(t.value) {
			d := 2 * distance(last, k)
			if t.prefix != table {
				d++
			}
			if d < bestAt {
				best, bestAt = t.prefix+k, d
			}
		}
	}
	return best
}

// maxKey bounds the keys that are compared with known ones, in bytes.
const maxKey = 64

// keysOf lists the TOML keys of a struct.
func keysOf(v any) []string {
	var out []string
	t := reflect.TypeOf(v)
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ",")
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// distance is the number of insertions, deletions and replacements between two
// short words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
