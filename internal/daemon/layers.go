package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Origin says where a value of the config comes from: "flag --max-peers",
// "env STARLING_NETWORK_MAX_PEERS", "file PATH:LINE", "preset NAME". Empty: it
// is a default.
type Origin string

// Override is a value that counts for more than the file's.
type Override struct {
	Key    string
	Flag   string                    // in place of Key: a flag of other software, one of Spellings
	Value  string                    // as the environment has it: items of lists separated by commas
	Change func(value string) string // in place of Value: what to make of the value below
	Origin Origin
}

// FromEnv reads the variables of every key, and names those that begin like
// one and are none: they are probably misspelt. An empty variable says nothing.
func FromEnv(environ []string) (over []Override, unknown []string) {
	keys := map[string]string{}
	tables := map[string]bool{}
	for _, f := range fields() {
		keys[EnvVar(f.key)] = f.key
		if f.table != "" {
			tables[EnvVar(f.table)+"_"] = true
		}
	}
	for _, line := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(line, "=")
		if key, ok := keys[name]; ok {
			if value != "" {
				over = append(over, Override{Key: key, Value: value, Origin: Origin("env " + name)})
			}
			continue
		}
		ours := strings.HasPrefix(name, "STARLING_") && NearestEnv(name) != ""
		for t := range tables {
			ours = ours || strings.HasPrefix(name, t)
		}
		if ours {
			unknown = append(unknown, name)
		}
	}
	return over, unknown
}

// WithoutEnv leaves out the variables that say something of the config.
func WithoutEnv(environ []string) (out []string) {
	over, _ := FromEnv(environ)
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		if !slices.ContainsFunc(over, func(o Override) bool { return o.Origin.source() == name }) {
			out = append(out, line)
		}
	}
	return out
}

// NearestEnv is the variable that is most like a misspelt one, if any is.
func NearestEnv(name string) string {
	best, bestAt := "", 4
	for _, f := range fields() {
		if d := Distance(name, EnvVar(f.key)); d < bestAt {
			best, bestAt = EnvVar(f.key), d
		}
	}
	return best
}

// LoadConfig reads a config file. Keys that it does not know are errors. Every
// error is a *ConfigError.
func LoadConfig(path string) (Config, error) { return LoadLayers(path) }

// LoadLayers reads a config file and lets overrides count for more, the last
// of a key the most. Every error is a *ConfigError.
func LoadLayers(path string, over ...Override) (Config, error) {
	over, err := resolveFlags(over)
	if err != nil {
		return Config{}, &ConfigError{Path: path, Err: err}
	}
	raw, err := readConfig(path)
	if err != nil {
		return Config{}, &ConfigError{Path: path, Err: err}
	}
	c, err := parse(raw, path, over)
	var ce *ConfigError
	if errors.As(err, &ce) {
		ce.Path = path
	}
	c.path = path
	switch origin := c.origins["datadir"]; {
	case c.Datadir == "":
		c.Datadir = filepath.Dir(path)
	case strings.HasPrefix(string(origin), "file") && !filepath.IsAbs(c.Datadir):
		c.Datadir = filepath.Join(filepath.Dir(path), c.Datadir)
	}
	return c, err
}

// ParseConfig reads the text of a config file. Every error is a *ConfigError.
func ParseConfig(raw []byte) (Config, error) { return parse(raw, "", nil) }

// Path is the file that the config was read from.
func (c *Config) Path() string { return c.path }

func parse(raw []byte, path string, over []Override) (Config, error) {
	var c Config
	meta, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(&c)
	if err != nil {
		return c, decodeError(err)
	}
	lines := linesOf(raw)
	c.origins = map[string]Origin{}
	for _, k := range meta.Keys() {
		c.origins[k.String()] = Origin(fmt.Sprintf("file %s:%d", path, lines[k.String()]))
	}
	unknown, err := c.takeFlags(raw, path, lines, meta.Undecoded())
	if len(unknown) > 0 {
		key := unknown[0].String()
		err := fmt.Errorf("unknown key %.80q", key)
		if near := nearest(key); near != "" {
			err = fmt.Errorf("unknown key %.80q; did you mean %q?", key, near)
		}
		return c, &ConfigError{Line: lines[key], Err: err}
	}
	if err != nil {
		return c, err
	}
	var p problems
	c.guard(path, &p)
	preset := c.chosenPreset(over)
	if err := c.layPreset(preset); err != nil {
		p.add(err)
		origins := maps.Clone(c.origins)
		for _, o := range over {
			origins[o.Key] = o.Origin
		}
		return c, p.located(origins, lines)
	}
	for _, o := range over {
		if o.Flag != "" { // below: it takes the network to say what it means
			continue
		}
		f, ok := fieldOf(o.Key)
		if !ok {
			return c, &ConfigError{Err: fmt.Errorf("%s: there is no key %q", o.Origin, o.Key)}
		}
		if o.Change != nil {
			below := c.exampleOf(f)
			if len(c.Networks) > 0 && !f.in(&c).IsZero() {
				below = textOf(f.in(&c).Interface())
			}
			o.Value = o.Change(below)
		}
		if err := f.set(&c, o.Value); err != nil {
			return c, &ConfigError{Err: fmt.Errorf("%s: %w", o.Origin.source(), err)}
		}
		c.origins[o.Key] = o.Origin
	}
	if err := c.layFlags(path, over); err != nil {
		return c, err
	}
	c.withdraw()
	c.zeros(&p)
	p.add(c.validate())
	return c, p.located(c.origins, lines)
}

// exampleOf is how a key of the network is written on its wire.
func (c *Config) exampleOf(f field) string {
	if len(c.Networks) == 1 && f.key == "network.listen" {
		if w, ok := c.Networks[0].kind(); ok && w.listens != "" {
			return w.listens
		}
	}
	return f.example
}

// source is an origin without the word that says of which kind it is.
func (o Origin) source() string {
	_, rest, _ := strings.Cut(string(o), " ")
	return rest
}

// typed reports whether a flag of the command line says it.
func (o Origin) typed() bool { return strings.HasPrefix(string(o), typedOrigin) }

// typedOrigin is how the origin of what was typed begins.
const typedOrigin = "flag --"

// zeros refuses a zero that is written down where zero stands for the default:
// whoever writes max_peers = 0 does not want 50.
func (c *Config) zeros(p *problems) {
	for _, f := range fields() {
		if _, written := c.origins[f.key]; written && f.nonzero && len(c.Networks) == 1 && f.in(c).IsZero() {
			p.bad("%s is 0, want more; leave the key out for the default", f.key)
		}
	}
}

// aKey finds the key that a problem begins with.
var aKey = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*`)

// located tells of each problem where the value that causes it was given.
func (p *problems) located(origins map[string]Origin, lines map[string]int) error {
	var flat []error
	for _, err := range p.errs {
		if all, ok := err.(interface{ Unwrap() []error }); ok {
			flat = append(flat, all.Unwrap()...)
			continue
		}
		flat = append(flat, err)
	}
	at := func(err error) (line int, from Origin) {
		key := aKey.FindString(err.Error())
		if o := origins[key]; o != "" && !strings.HasPrefix(string(o), "file") && !strings.HasPrefix(string(o), presetOrigin) {
			return 0, o
		}
		return lines[key], ""
	}
	switch len(flat) {
	case 0:
		return nil
	case 1:
		line, from := at(flat[0])
		if from != "" {
			return &ConfigError{Err: fmt.Errorf("%s: %w", from.source(), flat[0])}
		}
		return &ConfigError{Line: line, Err: flat[0]}
	}
	for i, err := range flat {
		switch line, from := at(err); {
		case from != "":
			flat[i] = fmt.Errorf("%s: %w", from.source(), err)
		case line > 0:
			flat[i] = fmt.Errorf("line %d: %w", line, err)
		}
	}
	return &ConfigError{Err: errors.Join(flat...)}
}

// linesOf gives the line of each key and table of a config file, the first if
// there are several.
func linesOf(raw []byte) map[string]int {
	out := map[string]int{}
	note := func(key string, line int) {
		if _, known := out[key]; !known && len(out) < maxConfigBytes/8 {
			out[key] = line
		}
	}
	table := ""
	for i, line := range bytes.Split(raw, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "[") {
			name, _, ok := strings.Cut(strings.TrimLeft(text, "["), "]")
			if ok && !strings.ContainsAny(name, `",/`) {
				table = strings.TrimSpace(name)
				note(table, i+1)
			}
			continue
		}
		key, _, ok := strings.Cut(text, "=")
		if key = strings.Trim(strings.TrimSpace(key), `"'`); ok && key != "" && !strings.HasPrefix(key, "#") {
			note(strings.TrimPrefix(table+"."+key, "."), i+1)
		}
	}
	return out
}

// Value is one key as it counts.
type Value struct {
	Key     string `json:"key"`
	Value   string `json:"value"` // as the environment would have it, but for secrets
	Origin  string `json:"origin"`
	Env     string `json:"env"`
	Meaning string `json:"meaning"`
}

// Values are all keys as they count, each with where it comes from.
func (c *Config) Values() []Value {
	var out []Value
	for _, f := range fields() {
		if c.origins[f.key] == "" && c.ofAnotherWire(f) {
			continue
		}
		v := Value{Key: f.key, Value: f.deflt, Origin: "default", Env: EnvVar(f.key), Meaning: f.comment}
		if o := c.origins[f.key]; o != "" {
			v.Value, v.Origin = f.shown(c), string(o)
		} else if f.key == "datadir" {
			v.Value = c.Datadir
		}
		out = append(out, v)
	}
	return out
}

// ofAnotherWire reports whether a key describes the chain of a wire that the
// network does not have.
func (c *Config) ofAnotherWire(f field) bool {
	if len(c.Networks) == 0 {
		return false
	}
	own, known := c.Networks[0].kind()
	return known && f.table != own.table && slices.ContainsFunc(wires(), func(k wireKind) bool { return k.table == f.table })
}

// textOf writes a value as setText reads it.
func textOf(v any) string {
	switch v := v.(type) {
	case interface{ MarshalText() ([]byte, error) }:
		if text, err := v.MarshalText(); err == nil {
			return string(text)
		}
	case []string:
		return strings.Join(v, ",")
	case map[string]uint64:
		var items []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			items = append(items, fmt.Sprintf("%s=%d", k, v[k]))
		}
		return strings.Join(items, ",")
	case map[string]string:
		var items []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			items = append(items, k+"="+v[k])
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v)
}
