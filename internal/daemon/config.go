package daemon

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/starlingp2p/starling/chain"
)

// ConfigVersion is the version of the config file that this program reads.
const ConfigVersion = 1

// Config is what config.toml says. Zero fields take defaults.
type Config struct {
	ConfigVersion int       `toml:"config_version"`
	Datadir       string    `toml:"datadir,omitempty" comment:"default: the folder of this file"`
	LogLevel      string    `toml:"log_level,omitempty"`
	LogFormat     string    `toml:"log_format,omitempty"`
	Networks      []Network `toml:"network"`

	path string
}

// Network is one [[network]] table: a network to be a member of.
type Network struct {
	Name string `toml:"name"`
	Wire string `toml:"wire,omitempty"`

	Listen    []string `toml:"listen,omitempty"`
	Advertise []string `toml:"advertise,omitempty"`
	KeyFile   string   `toml:"key_file,omitempty"`

	Seeds   []string `toml:"seeds,omitempty"`
	Static  []string `toml:"static,omitempty"`
	Trusted []string `toml:"trusted,omitempty"`

	MaxPeers          int      `toml:"max_peers,omitempty"`
	MaxInbound        int      `toml:"max_inbound,omitempty"`
	MinScore          float64  `toml:"min_score,omitempty"`
	NetRestrict       []string `toml:"net_restrict,omitempty"`
	AllowPrivate      bool     `toml:"allow_private,omitempty"`
	NoDial            bool     `toml:"no_dial,omitempty"`
	NoListen          bool     `toml:"no_listen,omitempty"`
	NoDiscovery       bool     `toml:"no_discovery,omitempty"`
	MDNS              bool     `toml:"mdns,omitempty"`
	DiscoveryInterval Duration `toml:"discovery_interval,omitempty"`
	Target            string   `toml:"target,omitempty"`

	Limits    Limits    `toml:"limits,omitempty"`
	Sequenced Sequenced `toml:"sequenced"`
}

// Limits is the [network.limits] table.
type Limits struct {
	CountLoopback bool `toml:"count_loopback,omitempty"`
	SyncMemory    Size `toml:"sync_memory,omitempty"`
	NoBudgets     bool `toml:"no_budgets,omitempty"`
	PeerRate      Size `toml:"peer_rate,omitempty"`
	PrefixRate    Size `toml:"prefix_rate,omitempty"`
	GlobalRate    Size `toml:"global_rate,omitempty"`
}

// Sequenced is the [network.sequenced] table: a chain of the sequenced family.
type Sequenced struct {
	Sequencer     string            `toml:"sequencer"`
	GenesisTime   time.Time         `toml:"genesis_time"`
	BlockInterval Duration          `toml:"block_interval,omitempty"`
	MaxBlock      Size              `toml:"max_block,omitempty"`
	Alloc         map[string]uint64 `toml:"alloc,omitempty"`
	ProduceKey    string            `toml:"produce_key,omitempty"`
	// Forks is the fork schedule: from which block a named set of rules counts.
	Forks map[string]uint64 `toml:"forks,omitempty"`
}

// Duration is a time.Duration in the form "30s".
type Duration time.Duration

// UnmarshalText reads the form of time.ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration; write it as \"30s\" or \"1m30s\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the form of time.Duration.String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Size is a number of bytes in the form "1MiB".
type Size int

var sizeUnits = []struct {
	suffix string
	bytes  int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a whole number and a unit.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(digits, "%d", &n); err == nil && fmt.Sprint(n) == digits && n >= 0 && n <= (1<<50)/u.bytes {
			*s = Size(n * u.bytes)
			return nil
		}
	}
	return fmt.Errorf("%q is not a size; write it as \"512KiB\" or \"1MiB\"", text)
}

// MarshalText writes the largest unit that divides the size.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if int(s)%u.bytes == 0 && s != 0 {
			return fmt.Appendf(nil, "%d%s", int(s)/u.bytes, u.suffix), nil
		}
	}
	return []byte("0B"), nil
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

// LoadConfig reads a config file. Keys that it does not know are errors.
func LoadConfig(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, &ConfigError{Path: path, Err: fmt.Errorf("%w; make one with \"starling init\"", err)}
	}
	if len(raw) > maxConfigBytes {
		return Config{}, &ConfigError{Path: path, Err: fmt.Errorf("file has %d bytes, want at most %d", len(raw), maxConfigBytes)}
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

// ParseConfig reads the text of a config file.
func ParseConfig(raw []byte) (Config, error) {
	var c Config
	meta, err := toml.NewDecoder(bytes.NewReader(raw)).Decode(&c)
	if err != nil {
		line := 0
		var pe toml.ParseError
		if errors.As(err, &pe) {
			line = pe.Position.Line
			err = errors.New(strings.TrimSpace(pe.Message))
		}
		return c, &ConfigError{Line: line, Err: err}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		key := unknown[0].String()
		line := lineOf(raw, key)
		err := fmt.Errorf("unknown key %q", key)
		if near := nearest(key); near != "" {
			err = fmt.Errorf("unknown key %q; did you mean %q?", key, near)
		}
		return c, &ConfigError{Line: line, Err: err}
	}
	if err := c.validate(); err != nil {
		return c, &ConfigError{Err: err}
	}
	return c, nil
}

// validate reports every problem of the file at once.
func (c *Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.ConfigVersion != ConfigVersion {
		bad("config_version is %d, this program reads %d", c.ConfigVersion, ConfigVersion)
	}
	if _, err := c.Level(); err != nil {
		errs = append(errs, err)
	}
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		bad("log_format is %q, want \"text\" or \"json\"", c.LogFormat)
	}
	if len(c.Networks) != 1 {
		bad("%d [[network]] tables, want exactly 1", len(c.Networks))
		return errors.Join(errs...)
	}
	n := &c.Networks[0]
	if n.Name == "" || len(n.Name) > 64 {
		bad("network.name is %.80q, want 1 to 64 characters", n.Name)
	}
	if n.Wire != "" && n.Wire != "native" {
		bad("network.wire is %q, this program has \"native\"", n.Wire)
	}
	if n.MaxPeers < 0 {
		bad("network.max_peers is %d, want at least 1", n.MaxPeers)
	}
	if n.MaxPeers > 0 && n.MaxInbound > n.MaxPeers {
		bad("network.max_inbound is %d, more than max_peers (%d)", n.MaxInbound, n.MaxPeers)
	}
	if n.NoListen && len(n.Listen) > 0 {
		bad("network.no_listen is set, but listen names %q; leave one of them out", n.Listen[0])
	}
	if n.NoDial && len(n.Static)+len(n.Trusted) > 0 {
		bad("network.no_dial is set, but static or trusted names peers to dial; leave one of them out")
	}
	if _, err := n.Prefixes(); err != nil {
		errs = append(errs, err)
	}
	if _, err := n.TargetRef(); err != nil {
		errs = append(errs, err)
	}
	if _, err := n.Sequenced.Key(); err != nil {
		errs = append(errs, err)
	}
	if n.Sequenced.GenesisTime.IsZero() {
		bad("network.sequenced.genesis_time is missing; it is part of the genesis block and the same on every node")
	}
	return errors.Join(errs...)
}

// Level is the log level.
func (c *Config) Level() (slog.Level, error) {
	if c.LogLevel == "" {
		return slog.LevelInfo, nil
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("log_level is %q, want debug, info, warn or error", c.LogLevel)
	}
	return l, nil
}

// Prefixes is net_restrict.
func (n *Network) Prefixes() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range n.NetRestrict {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("network.net_restrict has %q, want a prefix such as \"10.0.0.0/8\"", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// TargetRef is target, which is written "NUMBER:HASH".
func (n *Network) TargetRef() (chain.Ref, error) {
	if n.Target == "" {
		return chain.Ref{}, nil
	}
	var ref chain.Ref
	number, hash, ok := strings.Cut(n.Target, ":")
	_, err := fmt.Sscanf(number, "%d", &ref.Number)
	if ok && err == nil {
		ref.Hash, err = chain.ParseHash(hash)
	}
	if !ok || err != nil {
		return ref, fmt.Errorf("network.target is %.100q, want \"NUMBER:HASH\"", n.Target)
	}
	return ref, nil
}

// Key is the sequencer's public key.
func (s *Sequenced) Key() (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(s.Sequencer)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("network.sequenced.sequencer is %.80q, want an ed25519 public key in %d hex digits", s.Sequencer, 2*ed25519.PublicKeySize)
	}
	return key, nil
}

// Encode writes the config as TOML.
func (c *Config) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.Indent = ""
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("daemon: encode config: %w", err)
	}
	return b.Bytes(), nil
}

// lineOf finds the line of a key, by its last part.
func lineOf(raw []byte, key string) int {
	last := key[strings.LastIndexByte(key, '.')+1:]
	for i, line := range bytes.Split(raw, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, last) || strings.HasPrefix(text, "["+key) || strings.HasPrefix(text, "[["+key) {
			return i + 1
		}
	}
	return 0
}

// nearest gives the known key that is most like an unknown one, if any is.
func nearest(key string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	best, bestAt := "", 3
	for _, k := range knownKeys {
		if d := distance(last, k); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// knownKeys are the last parts of all keys.
var knownKeys = slices.Concat(
	keysOf(Config{}), keysOf(Network{}), keysOf(Limits{}), keysOf(Sequenced{}),
)
