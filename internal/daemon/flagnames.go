package daemon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// flagName is a flag of other software, which a table of the config takes by
// its name. One of key, only and why is set, or the flag is one of several that
// together make something of ours.
type flagName struct {
	name string
	// key is what the flag stands for here, and value makes of what the flag says
	// what the key takes; nil: it is the same.
	key   string
	value func(string) string
	// bare: it takes no value on a command line, which means true.
	bare bool
	// file: it names a file, which on a command line is seen from where that is
	// typed.
	file bool
	// only are the values that say what is always so here. Another one, and any
	// where there is none, is refused, and why says why, and what to use.
	only []string
	why  string
	// with is what the flag is a part of, in words.
	with string
	// secret: what it says is shown nowhere, and belongs on no command line, where
	// everybody on the machine can read it.
	secret bool
}

// says is what a flag says, as its key takes it.
func (f flagName) says(text string) string {
	if f.value != nil {
		return f.value(text)
	}
	return text
}

// flagTable is a table of the config that takes such flags.
type flagTable struct {
	table   string // below [network]
	program string // whose flags they are
	of      string // the same in words, with what of its flags
	flags   []flagName
	mine    func(name string) bool // whether an unknown key is to be one of them
	// elsewhere are those that on a network of another wire stand for a key that
	// is common to all.
	elsewhere map[string]string
	// join makes what several flags say together; nil: none do.
	join func(c *Config, path string, given flagValues, set setFlag, bad badFlag)
}

// find is the flag of that name.
func (t flagTable) find(name string) (flagName, bool) {
	for _, f := range t.flags {
		if f.name == name {
			return f, true
		}
	}
	return flagName{}, false
}

// flagPlace is where flags stand.
type flagPlace struct {
	path   string // of the config
	line   func(flag string) int
	dashes string // that stand before a flag there
	origin func(flag string) Origin
	// over: they count for more than what the config says so far, but not than
	// what other flags of the command line say.
	over bool
}

// in is where the flags of a table stand in a config file.
func (t flagTable) in(path string, lines map[string]int) flagPlace {
	line := func(flag string) int { return lines[t.keyOf(flag)] }
	return flagPlace{path: path, line: line, origin: func(flag string) Origin {
		return Origin(fmt.Sprintf("flag %s at %s:%d", flag, path, line(flag)))
	}}
}

// setFlag puts what a flag says into a key, and badFlag says what is wrong.
type (
	setFlag = func(flag, key, text string)
	badFlag = func(flag, format string, args ...any)
)

func flagTables() []flagTable { return []flagTable{opNames(), gethNames()} }

// flagValues are flags with their values as a command line would have them.
type flagValues map[string]string

// takeFlags reads the flags of other software out of the tables that have them,
// puts what they say into the keys that they stand for, and gives back the
// unknown keys that are none. A flag is written as a key with dots, with or
// without quotes.
func (c *Config) takeFlags(raw []byte, path string, lines map[string]int, unknown []toml.Key) (left []toml.Key, err error) {
	roots := map[string][]string{} // of flags, by table
next:
	for _, k := range unknown {
		for _, t := range flagTables() {
			if len(k) > 2 && k[0] == "network" && k[1] == t.table && t.mine(strings.Join(k[2:], ".")) {
				if !slices.Contains(roots[t.table], k[2]) {
					roots[t.table] = append(roots[t.table], k[2])
				}
				continue next
			}
		}
		left = append(left, k)
	}
	if len(roots) == 0 || len(c.Networks) != 1 {
		return left, nil
	}
	var doc struct {
		Network []map[string]any `toml:"network"`
	}
	if err := toml.Unmarshal(raw, &doc); err != nil {
		return left, decodeError(err)
	}
	for _, t := range flagTables() {
		given := flagValues{}
		values, _ := doc.Network[0][t.table].(map[string]any)
		for _, root := range slices.Sorted(slices.Values(roots[t.table])) {
			if err := given.flatten(root, values[root]); err != nil {
				return left, &ConfigError{Line: lines[t.keyOf(root)], Err: fmt.Errorf("network.%s.%w", t.table, err)}
			}
		}
		if err := t.lay(c, given, t.in(path, lines)); len(given) > 0 && err != nil {
			return left, err
		}
	}
	return left, nil
}

// keyOf is how a flag stands in the config.
func (t flagTable) keyOf(flag string) string { return "network." + t.table + "." + flag }

// flatten takes in a value, or all those of a table.
func (g flagValues) flatten(name string, v any) error {
	if table, ok := v.(map[string]any); ok {
		for _, k := range slices.Sorted(maps.Keys(table)) {
			if err := g.flatten(name+"."+k, table[k]); err != nil {
				return err
			}
		}
		return nil
	}
	if _, twice := g[name]; twice {
		return fmt.Errorf("%s is there twice", name)
	}
	if list, ok := v.([]any); ok {
		items := make([]string, len(list))
		for i, item := range list {
			items[i] = fmt.Sprint(item)
		}
		v = strings.Join(items, ",")
	}
	g[name] = strings.TrimSpace(fmt.Sprint(v))
	return nil
}

// lay writes what flags say into the config. All that is wrong is told.
func (t flagTable) lay(c *Config, given flagValues, at flagPlace) error {
	var bads []*ConfigError
	bad := func(flag, format string, args ...any) {
		bads = append(bads, &ConfigError{Line: at.line(flag), Err: fmt.Errorf(at.dashes+format, args...)})
	}
	set := func(flag, key, text string) {
		if text == "" && !at.over {
			return
		}
		f, ok := fieldOf(key)
		was := c.origins[key]
		if !ok || was != "" && (!at.over || was.typed()) {
			other := key
			if was.typed() {
				other = was.source()
			}
			bad(flag, "%s says the same, and %s is set too; leave one of them out", flag, other)
			return
		}
		if text == "" { // on a command line: none
			f.in(c).SetZero()
		} else if err := f.set(c, text); err != nil {
			bad(flag, "%s: %w", flag, err)
			return
		}
		c.origins[key] = at.origin(flag)
	}
	for _, f := range t.flags {
		text, ok := given[f.name]
		switch {
		case !ok:
		case f.key != "":
			set(f.name, f.key, f.says(text))
		case f.with != "": // below
		default:
			if why := f.refuses(text); why != "" {
				bad(f.name, "%s", why)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, known := t.find(name); !known {
			bad(name, "%s is no flag of %s; docs/networks.md lists them", name, t.of)
		}
	}
	if t.join != nil {
		t.join(c, at.path, given, set, bad)
	}
	return joined(bads)
}

// refuses says why a flag that stands for nothing here is not taken; empty: what
// it says is always so.
func (f flagName) refuses(text string) string {
	switch {
	case f.secret:
		return fmt.Sprintf("%s has no counterpart here: %s", f.name, f.why)
	case slices.Contains(f.only, strings.ReplaceAll(text, " ", "")):
		return ""
	case f.bare && text == "true":
		return fmt.Sprintf("%s has no counterpart here: %s", f.name, f.why)
	}
	return fmt.Sprintf("%s = %.80q has no counterpart here: %s", f.name, text, f.why)
}

// joined are all of them as one, each with its line; nil: none.
func joined(bads []*ConfigError) error {
	switch len(bads) {
	case 0:
		return nil
	case 1:
		return bads[0]
	}
	var errs []error
	for _, b := range bads {
		err := b.Err
		if b.Line > 0 {
			err = fmt.Errorf("line %d: %w", b.Line, err)
		}
		errs = append(errs, err)
	}
	return &ConfigError{Err: errors.Join(errs...)}
}

// or is a flag's value, or what it is where it is left out or empty.
func (g flagValues) or(flag, byDefault string) string {
	if text := g[flag]; text != "" {
		return text
	}
	return byDefault
}

// first is the first of some flags that is given; empty: none.
func (g flagValues) first(flags ...string) string {
	for _, f := range flags {
		if g[f] != "" {
			return f
		}
	}
	return ""
}
