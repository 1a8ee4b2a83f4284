package daemon

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// Encode writes the config as TOML, without what is at its default, and with a
// comment above each key that has one.
func (c *Config) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("daemon: encode config: %w", err)
	}
	known := map[string]field{}
	for _, f := range fields() {
		known[f.key] = f
	}
	var out bytes.Buffer
	var header string // of the table, until one of its keys is written
	own := false      // the keys of this table are the operator's
	table := ""
	for line := range bytes.Lines(b.Bytes()) {
		text := string(bytes.TrimSpace(line))
		if text == "" {
			continue
		}
		if strings.HasPrefix(text, "[") {
			table, header = strings.Trim(text, "[]"), text
			_, own = known[table]
			continue
		}
		key, _, _ := strings.Cut(text, " = ")
		f, ok := known[strings.TrimPrefix(table+"."+key, ".")]
		if !own && ok && f.in(c).IsZero() {
			continue
		}
		if header != "" {
			if out.Len() > 0 {
				out.WriteByte('\n')
			}
			if own {
				fmt.Fprintf(&out, "# %s\n", known[table].told())
			}
			fmt.Fprintf(&out, "%s\n", header)
			header = ""
		}
		if !own && ok && f.comment != "" && f.key != "config_version" {
			fmt.Fprintf(&out, "# %s\n", f.told())
		}
		fmt.Fprintf(&out, "%s\n", text)
	}
	return out.Bytes(), nil
}

// told is the comment of a key, with its default.
func (f field) told() string {
	if f.deflt == "" || f.deflt == "false" {
		return f.comment
	}
	return fmt.Sprintf("%s; left out: %s", f.comment, f.deflt)
}

// written is an example of the key as TOML has it.
func (f field) written() string {
	text := f.example
	if text == "" {
		text = f.deflt
	}
	v := reflect.New(f.typ).Elem()
	if setText(v, text) != nil {
		return fmt.Sprintf("%q", text)
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(map[string]any{"x": v.Interface()}); err != nil {
		return fmt.Sprintf("%q", text)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(b.String()), " = ")
	return value
}

// SampleConfig is a config file with every key, each with what it means and
// how it is written; all but what has no default is a comment.
func SampleConfig() string {
	var b strings.Builder
	b.WriteString(configHead)
	b.WriteString("# Every key. Those that begin with # are at their default or left out. Each can also be given by an environment\n" +
		"# variable (STARLING_NETWORK_MAX_PEERS for max_peers of [[network]]) or, where \"starling run --help\" lists it, by a flag;\n" +
		"# a flag counts for more than the environment, and that for more than this file.\n")
	table := ""
	for _, f := range fields() {
		if f.table != table {
			table = f.table
			head := "[" + table + "]"
			if table == "network" {
				head = "[[network]]"
			}
			if table != "network" && table != "network.sequenced" {
				head = "# " + head
			}
			fmt.Fprintf(&b, "\n%s\n", head)
		}
		fmt.Fprintf(&b, "# %s\n", f.told())
		if f.typ.Kind() == reflect.Map {
			items := strings.Split(f.example, ",")
			fmt.Fprintf(&b, "# [%s]\n", f.key)
			for _, item := range items {
				k, v, _ := strings.Cut(item, "=")
				if strings.Contains(k, "/") { // no bare key of TOML
					k = fmt.Sprintf("%q", k)
				}
				if f.typ.Elem().Kind() == reflect.String {
					v = fmt.Sprintf("%q", v)
				}
				fmt.Fprintf(&b, "# %s = %s\n", k, v)
			}
			continue
		}
		mark := "# "
		switch f.key {
		case "config_version", "network.name", "network.sequenced.sequencer", "network.sequenced.genesis_time":
			mark = ""
		}
		fmt.Fprintf(&b, "%s%s = %s\n", mark, f.name, f.written())
	}
	return b.String()
}

// Doc is what there is to know of one key.
type Doc struct {
	Key     string `json:"key"`
	Table   string `json:"table,omitempty"` // empty: the top of the file
	Kind    string `json:"kind"`
	Meaning string `json:"meaning"`
	Default string `json:"default"` // in words or as it is written
	Env     string `json:"env"`
}

// Docs are all keys, for the reference page.
func Docs() []Doc {
	var out []Doc
	for _, f := range fields() {
		kind := map[reflect.Kind]string{
			reflect.Bool: "true or false", reflect.Int: "number", reflect.Uint32: "number", reflect.Uint64: "number", reflect.Float64: "number",
			reflect.Slice: "list", reflect.Map: "table", reflect.String: "text", reflect.Struct: "time",
		}[f.typ.Kind()]
		switch f.typ {
		case reflect.TypeFor[Duration]():
			kind = "duration"
		case reflect.TypeFor[Size]():
			kind = "size"
		}
		out = append(out, Doc{Key: f.key, Table: f.table, Env: EnvVar(f.key), Default: f.deflt, Meaning: f.comment, Kind: kind})
	}
	return out
}
