package daemon

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Spelling is a flag of other software that the command line takes by its name.
type Spelling struct {
	Name    string `json:"name"`
	Of      string `json:"of"`   // whose it is: "geth", "op-node"
	Here    string `json:"here"` // what it is here, in words for people
	Refused bool   `json:"refused,omitempty"`
	Bare    bool   `json:"bare,omitempty"` // it takes no value, which means true
	List    bool   `json:"list,omitempty"` // it may be repeated
	File    bool   `json:"file,omitempty"` // it names a file
}

// Spellings are all of them, in the order of the tables in docs/networks.md. A
// name that two have is there for each.
func Spellings() (out []Spelling) {
	lists := map[string]bool{}
	for _, f := range fields() {
		lists[f.key] = f.typ.Kind() == reflect.Slice
	}
	for _, t := range flagTables() {
		for _, f := range t.flags {
			out = append(out, Spelling{
				Name: f.name, Of: t.program, Here: f.here(), Refused: f.key == "" && f.with == "" && len(f.only) == 0,
				Bare: f.bare, List: lists[f.key], File: f.file,
			})
		}
	}
	return out
}

// here is what a flag is here, in words.
func (f flagName) here() string {
	switch {
	case f.key != "" && f.with != "":
		return "`" + f.key + "`: " + f.with
	case f.key != "":
		return "`" + f.key + "`"
	case f.with != "":
		return f.with
	case len(f.only) == 0:
		return "refused: " + f.why
	}
	return "only `" + f.only[0] + "`: " + f.why
}

// common reports whether a flag means the same whatever the network's wire.
func (f flagName) common() bool {
	return f.key != "" && !slices.ContainsFunc(wires(), func(w wireKind) bool { return strings.HasPrefix(f.key, w.table+".") })
}

// resolveFlags refuses the flags of others that are so on any network, and gives
// those that mean the same on all as what they mean.
func resolveFlags(over []Override) (out []Override, err error) {
	typed := map[string]string{} // keys, by what says them
	for _, o := range over {
		if o.Flag == "" && o.Origin.typed() {
			typed[o.Key] = o.Origin.source()
		}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("--"+format, args...)) }
	for _, o := range over {
		of := tablesWith(o.Flag)
		if o.Flag == "" || len(of) == 0 {
			out = append(out, o)
			continue
		}
		f, _ := of[0].find(o.Flag)
		switch {
		case f.secret:
			bad("%s is a secret, and everybody on this machine can read a command line: %s", f.name, cmp.Or(f.why, f.with))
		case f.common():
			value := f.says(o.Value)
			if value == "" {
				continue
			}
			if other := typed[f.key]; other != "" {
				bad("%s says the same as %s; leave one of them out", f.name, other)
			}
			typed[f.key] = "--" + f.name
			out = append(out, Override{Key: f.key, Value: value, Origin: o.Origin})
		case len(of) == 1 && f.key == "" && f.with == "":
			if why := f.refuses(o.Value); why != "" {
				bad("%s", why)
			}
		default:
			out = append(out, o)
		}
	}
	return out, errors.Join(errs...)
}

// tablesWith are the tables that have a flag.
func tablesWith(flag string) (out []flagTable) {
	for _, t := range flagTables() {
		if _, ok := t.find(flag); ok {
			out = append(out, t)
		}
	}
	return out
}

// layFlags puts what flags of others say into the config, over all but our own
// flags: a flag means what the network's wire has it mean.
func (c *Config) layFlags(path string, over []Override) error {
	given := map[string]flagValues{} // by table
	var bads []*ConfigError
	bad := func(format string, args ...any) {
		bads = append(bads, &ConfigError{Err: fmt.Errorf(format, args...)})
	}
	if len(c.Networks) != 1 {
		return nil // which is said of the config
	}
	own, _ := c.Networks[0].kind()
	for _, o := range over {
		of := tablesWith(o.Flag)
		if o.Flag == "" || len(of) == 0 {
			continue
		}
		t := of[0]
		for _, other := range of {
			if "network."+other.table == own.table {
				t = other
			}
		}
		if key := t.elsewhere[o.Flag]; "network."+t.table != own.table {
			if key == "" {
				bad("--%s is for a network of %s's kind, and this one is on %q; leave it out", o.Flag, t.program, own.name)
			} else if f, ok := fieldOf(key); ok {
				if err := f.set(c, o.Value); err != nil || c.origins[key].typed() {
					bad("--%s: %w", o.Flag, cmp.Or(err, fmt.Errorf("it says the same as %s; leave one of them out", c.origins[key].source())))
				}
				c.origins[key] = o.Origin
			}
			continue
		}
		if given[t.table] == nil {
			given[t.table] = flagValues{}
		}
		given[t.table][o.Flag] = o.Value
	}
	for _, t := range flagTables() {
		at := flagPlace{
			path: path, dashes: "--", over: true, line: func(string) int { return 0 },
			origin: func(flag string) Origin { return Origin(typedOrigin + flag) },
		}
		var ce *ConfigError
		if err := t.lay(c, given[t.table], at); len(given[t.table]) > 0 && errors.As(err, &ce) {
			bads = append(bads, ce)
		}
	}
	return joined(bads)
}
