package daemon

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key of the config, as the tags of Config describe it.
type field struct {
	key     string // "network.limits.peer_rate"
	name    string // "peer_rate"
	table   string // "network.limits"; empty: the top
	comment string
	deflt   string // what a key that is left out counts as, in words or as it is written
	example string // as EnvVar takes it; empty where deflt is
	typ     reflect.Type
	path    []int  // of field indices; a slice of tables is entered at its first
	nonzero bool   // zero stands for the default
	secret  string // secretURL or secretHeader, where a part of the value may be one
}

// fields are all keys, in the order of the structs.
func fields() []field { return fieldsOf(reflect.TypeFor[Config](), "", nil) }

func fieldsOf(t reflect.Type, table string, path []int) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name == "" || name == "-" {
			continue
		}
		key := strings.TrimPrefix(table+"."+name, ".")
		here := append(slices.Clone(path), i)
		if sub, ok := tableOf(f.Type); ok {
			out = append(out, fieldsOf(sub, key, here)...)
			continue
		}
		out = append(out, field{
			key: key, name: name, table: table, comment: f.Tag.Get("comment"), deflt: f.Tag.Get("default"),
			example: f.Tag.Get("example"), typ: f.Type, path: here, nonzero: opts == "omitzero", secret: f.Tag.Get("secret"),
		})
	}
	return out
}

// tableOf gives the struct behind a table or an array of tables.
func tableOf(t reflect.Type) (reflect.Type, bool) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		t = t.Elem()
	}
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	return t, t.Kind() == reflect.Struct && !t.Implements(text) && !reflect.PointerTo(t).Implements(text)
}

// fieldOf finds a key.
func fieldOf(key string) (field, bool) {
	for _, f := range fields() {
		if f.key == key {
			return f, true
		}
	}
	return field{}, false
}

// in is the key's place in a config; invalid where its table is not there.
func (f field) in(c *Config) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for _, i := range f.path {
		if v.Kind() == reflect.Slice {
			if v.Len() == 0 {
				return reflect.Value{}
			}
			v = v.Index(0)
		}
		v = v.Field(i)
	}
	return v
}

// EnvVar is the name of the environment variable that says what a key does:
// STARLING_NETWORK_MAX_PEERS for network.max_peers.
func EnvVar(key string) string {
	return "STARLING_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// set writes text into the key's place. Items of lists and tables are
// separated by commas.
func (f field) set(c *Config, text string) error {
	if strings.HasPrefix(f.key, "network.") && len(c.Networks) == 0 {
		c.Networks = make([]Network, 1)
	}
	v := reflect.New(f.typ).Elem()
	if err := setText(v, text); err != nil {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	f.in(c).Set(v)
	return nil
}

func setText(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			if _, isTime := u.(*time.Time); isTime {
				return fmt.Errorf("%.40q is not a time; write it as 2026-01-02T03:04:05Z", text)
			}
			return err
		}
		return nil
	}
	wrong := func(want string) error { return fmt.Errorf("%.80q is not %s", text, want) }
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return wrong("true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return wrong("a whole number")
		}
		v.SetInt(n)
	case reflect.Uint64, reflect.Uint16, reflect.Uint32:
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return wrong("a whole number of 0 or more")
		}
		v.SetUint(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return wrong("a number")
		}
		v.SetFloat(n)
	case reflect.Slice:
		return setList(v, text)
	case reflect.Map:
		return setMap(v, text)
	default:
		return errors.New("cannot be given here; write it into the config file")
	}
	return nil
}

func setList(v reflect.Value, text string) error {
	for item := range strings.SplitSeq(text, ",") {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := setText(e, strings.TrimSpace(item)); err != nil {
			return err
		}
		v.Set(reflect.Append(v, e))
	}
	return nil
}

func setMap(v reflect.Value, text string) error {
	v.Set(reflect.MakeMap(v.Type()))
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok || key == "" {
			return fmt.Errorf("%.80q is not of the form NAME=VALUE,NAME=VALUE", item)
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if err := setText(e, value); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
	return nil
}

// nearest gives the known key, with its table, that is most like an unknown
// one, if any is. Of several the one in the same table wins.
func nearest(key string) string {
	table, last := "", key
	if at := strings.LastIndexByte(key, '.'); at >= 0 {
		table, last = key[:at], key[at+1:]
	}
	if len(last) > maxKey {
		return ""
	}
	best, bestAt := "", 6
	try := func(table2, name string) {
		d := 2 * Distance(last, name)
		if table2 != table {
			d++
		}
		if d < bestAt {
			best, bestAt = strings.TrimPrefix(table2+"."+name, "."), d
		}
	}
	seen := map[string]bool{"": true}
	for _, f := range fields() {
		try(f.table, f.name)
		if !seen[f.table] {
			seen[f.table] = true
			above, name := "", f.table
			if at := strings.LastIndexByte(f.table, '.'); at >= 0 {
				above, name = f.table[:at], f.table[at+1:]
			}
			try(above, name)
		}
	}
	return best
}

// maxKey bounds the keys that are compared with known ones, in bytes.
const maxKey = 64

// Distance is the number of insertions, deletions and replacements between two
// short words (Levenshtein).
func Distance(a, b string) int {
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
