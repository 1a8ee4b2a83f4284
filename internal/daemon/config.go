package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// ConfigVersion is the version of the config file that this program reads.
const ConfigVersion = 1

// Config is what config.toml says. A key that is left out takes its default,
// which is the zero of its field here. The comments go into generated files.
type Config struct {
	ConfigVersion int       `toml:"config_version"`
	Datadir       string    `toml:"datadir,omitempty" comment:"the node's folder, seen from this file's; left out: this file's"`
	LogLevel      string    `toml:"log_level,omitempty" comment:"debug, info, warn or error"`
	LogFormat     string    `toml:"log_format,omitempty" comment:"text or json"`
	Networks      []Network `toml:"network"`
	RPC           RPC       `toml:"rpc,omitempty"`

	path string
}

// Network is one [[network]] table: a network to be a member of.
type Network struct {
	Name string `toml:"name" comment:"the same on every node"`
	Wire string `toml:"wire,omitempty"`

	Listen    []string `toml:"listen,omitempty" comment:"where others reach us; port 0: any free one"`
	Advertise []string `toml:"advertise,omitempty" comment:"what others are told instead"`
	KeyFile   string   `toml:"key_file,omitempty" comment:"our identity; left out: keys/node.key"`

	Seeds   []string `toml:"seeds,omitempty" comment:"whom to meet first, and again when peers run low"`
	Static  []string `toml:"static,omitempty" comment:"whom to stay connected to"`
	Trusted []string `toml:"trusted,omitempty" comment:"as static, and over every limit"`

	MaxPeers          int      `toml:"max_peers,omitzero" comment:"left out: 50"`
	MaxInbound        int      `toml:"max_inbound,omitzero" comment:"of max_peers, those that dialled us; at most two thirds, which is the default"`
	MinScore          float64  `toml:"min_score,omitzero" comment:"below it a peer is not dialled, nor kept; left out: -50"`
	NetRestrict       []string `toml:"net_restrict,omitempty" comment:"the only address ranges to dial, to accept and to hear of"`
	AllowPrivate      bool     `toml:"allow_private,omitempty" comment:"discovery tells of loopback and private addresses too"`
	NoDial            bool     `toml:"no_dial,omitempty" comment:"dial nobody"`
	NoListen          bool     `toml:"no_listen,omitempty" comment:"listen nowhere"`
	NoDiscovery       bool     `toml:"no_discovery,omitempty" comment:"look for nobody"`
	MDNS              bool     `toml:"mdns,omitempty" comment:"look for peers in the local network"`
	DiscoveryInterval Duration `toml:"discovery_interval,omitzero" comment:"left out: 30s"`
	Target            string   `toml:"target,omitempty" comment:"a block that is trusted and to be reached, as NUMBER:HASH"`

	Limits    Limits    `toml:"limits,omitempty"`
	Sequenced Sequenced `toml:"sequenced"`
}

// Limits is the [network.limits] table.
type Limits struct {
	CountLoopback bool `toml:"count_loopback,omitempty" comment:"limits by address hold for loopback too"`
	SyncMemory    Size `toml:"sync_memory,omitzero" comment:"blocks held in memory while syncing; left out: 128MiB"`
	NoBudgets     bool `toml:"no_budgets,omitempty" comment:"serve without limits: for benchmarks"`
	PeerRate      Size `toml:"peer_rate,omitzero" comment:"served a second to one peer; left out: 64MiB"`
	PrefixRate    Size `toml:"prefix_rate,omitzero" comment:"to all of an address range; left out: 128MiB"`
	GlobalRate    Size `toml:"global_rate,omitzero" comment:"to all; left out: 512MiB"`
}

// Sequenced is the [network.sequenced] table: a chain of the sequenced family.
type Sequenced struct {
	Sequencer     string            `toml:"sequencer" comment:"the public key that signs blocks; this and all below but produce_key and forks are the same on every node"`
	GenesisTime   time.Time         `toml:"genesis_time"`
	BlockInterval Duration          `toml:"block_interval,omitzero" comment:"left out: 1s"`
	MaxBlock      Size              `toml:"max_block,omitzero" comment:"left out: 8MiB"`
	ProduceKey    string            `toml:"produce_key,omitempty" comment:"the sequencer's key file; only on the node that makes the blocks"`
	Alloc         map[string]uint64 `toml:"alloc,omitempty" comment:"what accounts own at genesis"`
	// Forks is the fork schedule: from which block a named set of rules counts.
	Forks map[string]uint64 `toml:"forks,omitempty" comment:"from which block a named set of rules counts"`
}

// ConfigError says what is wrong with a config file: the place, the value and
// the remedy are in its text.
type ConfigError struct {
	Path string
	Line int // 0 where it is not known
	Err  error
}

func (e *ConfigError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("config %s line %d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("config %s: %v", e.Path, e.Err)
}
func (e *ConfigError) Unwrap() error { return e.Err }

// maxConfigBytes bounds a config file.
const maxConfigBytes = 1 << 20

// LoadConfig reads a config file. Keys that it does not know are errors. Every
// error is a *ConfigError.
func LoadConfig(path string) (Config, error) {
	raw, err := readConfig(path)
	if err != nil {
		return Config{}, &ConfigError{Path: path, Err: err}
	}
	c, err := ParseConfig(raw)
	var ce *ConfigError
	if errors.As(err, &ce) {
		ce.Path = path
	}
	c.path = path
	if c.Datadir == "" {
		c.Datadir = filepath.Dir(path)
	} else if !filepath.IsAbs(c.Datadir) {
		c.Datadir = filepath.Join(filepath.Dir(path), c.Datadir)
	}
	return c, err
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; make one with \"starling init\"", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; make it readable, or name another file with --config", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file; name the file itself with --config")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err == nil && len(raw) > maxConfigBytes {
		err = fmt.Errorf("file has more than %d bytes", maxConfigBytes)
	}
	return raw, err
}

// ParseConfig reads the text of a config file. Every error is a *ConfigError.
func ParseConfig(raw []byte) (Config, error) {
	var c Config
	meta, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(&c)
	if err != nil {
		return c, decodeError(err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		err := fmt.Errorf("unknown key %.80q", key)
		if near := nearest(key); near != "" {
			err = fmt.Errorf("unknown key %.80q; did you mean %q?", key, near)
		}
		return c, &ConfigError{Line: lineOf(raw, key), Err: err}
	}
	if err := errors.Join(zeros(&c, meta), c.validate()); err != nil {
		return c, &ConfigError{Err: err}
	}
	return c, nil
}

// typeError is how the library tells of a value of the wrong type.
var typeError = regexp.MustCompile(`^toml: (?:line (\d+) )?\(last key "([^"]*)"\): (?:incompatible types: TOML value has type (.*); destination has type (.*))?(.*)$`)

// decodeError names the line and the key of what the library does not like.
func decodeError(err error) *ConfigError {
	var pe toml.ParseError
	if errors.As(err, &pe) {
		text := strings.TrimSpace(pe.Message)
		if pe.LastKey != "" {
			text = pe.LastKey + ": " + text
		}
		return &ConfigError{Line: pe.Position.Line, Err: errors.New(oneLine(text))}
	}
	m := typeError.FindStringSubmatch(err.Error())
	if m == nil {
		return &ConfigError{Err: errors.New(oneLine(strings.TrimPrefix(err.Error(), "toml: ")))}
	}
	line, _ := strconv.Atoi(m[1])
	text := m[2] + ": " + m[5]
	if m[3] != "" {
		kinds := strings.NewReplacer("slice", "array", "map", "table")
		text = fmt.Sprintf("%s is of type %s, want %s", m[2], kinds.Replace(m[3]), kinds.Replace(m[4]))
	}
	return &ConfigError{Line: line, Err: errors.New(oneLine(text))}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// zeros refuses a zero that is written down where zero stands for the default:
// whoever writes max_peers = 0 does not want 50.
func zeros(c *Config, meta toml.MetaData) error {
	if len(c.Networks) != 1 {
		return nil
	}
	var errs []error
	n := &c.Networks[0]
	for _, table := range []struct {
		prefix string
		value  any
	}{{"rpc.", c.RPC}, {"network.", *n}, {"network.limits.", n.Limits}, {"network.sequenced.", n.Sequenced}} {
		v := reflect.ValueOf(table.value)
		for i := range v.NumField() {
			tag := v.Type().Field(i).Tag
			key, opts, _ := strings.Cut(tag.Get("toml"), ",")
			written := func(k toml.Key) bool { return k.String() == table.prefix+key }
			if opts == "omitzero" && v.Field(i).IsZero() && slices.ContainsFunc(meta.Keys(), written) {
				errs = append(errs, fmt.Errorf("%s%s is 0, want more; leave the key out for the default", table.prefix, key))
			}
		}
	}
	return errors.Join(errs...)
}

// Encode writes the config as TOML, without what is at its default, and with a
// comment above each key that has one.
func (c *Config) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("daemon: encode config: %w", err)
	}
	tables := map[string]any{"": Config{}, "[rpc]": RPC{}, "[[network]]": Network{}, "[network.limits]": Limits{}, "[network.sequenced]": Sequenced{}}
	headers := map[string]string{"[network.sequenced.alloc]": "alloc", "[network.sequenced.forks]": "forks"}
	var out bytes.Buffer
	table := any(Config{})
	for line := range bytes.Lines(b.Bytes()) {
		text := string(bytes.TrimSpace(line))
		key, _, _ := strings.Cut(text, " = ")
		if strings.HasPrefix(text, "[") {
			table = tables[text]
			key = ""
			if name := headers[text]; name != "" {
				table, key = Sequenced{}, name
			}
			if out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n\n")) {
				out.WriteByte('\n')
			}
		}
		if comment := commentOf(table, key); comment != "" {
			fmt.Fprintf(&out, "# %s\n", comment)
		}
		if strings.HasPrefix(text, "[") && headers[text] != "" {
			table = nil // its keys are the operator's own
		}
		out.Write(line)
	}
	return out.Bytes(), nil
}

// commentOf is the comment of a key in a table, if it has one.
func commentOf(table any, key string) string {
	if table == nil || key == "" {
		return ""
	}
	t := reflect.TypeOf(table)
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); name == key {
			return t.Field(i).Tag.Get("comment")
		}
	}
	return ""
}
