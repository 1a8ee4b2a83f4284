package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// ConfigVersion is the version of the config file that this program reads.
const ConfigVersion = 1

// Config is what config.toml says. A key that is left out takes its default,
// which is the zero of its field here. The tags say it all to people too: comment
// is the meaning, default what a key that is left out counts as, example how it
// is written. Generated files, docs/config.md and "config dump" come from them.
type Config struct {
	ConfigVersion int               `toml:"config_version" comment:"the version of this file's form" example:"1"`
	Datadir       string            `toml:"datadir,omitempty" comment:"the node's folder, seen from this file's" default:"the file's folder" example:"."`
	LogLevel      string            `toml:"log_level,omitempty" comment:"debug, info, warn or error, or off" default:"info"`
	LogFormat     string            `toml:"log_format,omitempty" comment:"text or json" default:"text on a terminal, else json" example:"json"`
	LogLevels     map[string]string `toml:"log_levels,omitempty" comment:"levels of parts of the program; libp2p is what its libraries write" default:"that of the log; off for libp2p" example:"swarm=debug,libp2p=warn"`
	Networks      []Network         `toml:"network" comment:"the network to be a member of; one for now"`
	RPC           RPC               `toml:"rpc,omitempty"`
	Metrics       Metrics           `toml:"metrics,omitempty"`
	Health        Health            `toml:"health,omitempty"`

	path    string
	origins map[string]Origin
}

// Network is one [[network]] table: a network to be a member of.
type Network struct {
	Preset string `toml:"preset,omitempty" comment:"a public network, which says all that is the same on every node: op-mainnet, op-sepolia, base-mainnet, base-sepolia, unichain-mainnet, ink-mainnet, worldchain-mainnet, soneium-mainnet, mode-mainnet, zora-mainnet, ethereum, sepolia, hoodi, classic, ontology or polaris; keys that are written too count for more" example:"op-mainnet"`
	Name   string `toml:"name" comment:"the same on every node" example:"private"`
	Wire   string `toml:"wire,omitempty" comment:"the protocol suite" default:"native"`

	Listen    []string `toml:"listen,omitempty" comment:"where others reach us; port 0: any free one" default:"a free port of every interface, TCP and QUIC" example:"/ip4/0.0.0.0/tcp/4001,/ip4/0.0.0.0/udp/4001/quic-v1"`
	Advertise []string `toml:"advertise,omitempty" comment:"what others are told instead" default:"what the node listens on" example:"/dns/node.example.org/tcp/4001"`
	KeyFile   string   `toml:"key_file,omitempty" comment:"our identity; made at the first start" default:"keys/node.key"`

	Seeds   []string `toml:"seeds,omitempty" comment:"whom to meet first, and again when peers run low" example:"/dns/seed.example.org/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"`
	Static  []string `toml:"static,omitempty" comment:"whom to stay connected to" example:"/ip4/10.1.2.3/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"`
	Trusted []string `toml:"trusted,omitempty" comment:"as static, and over every limit; on devp2p not dialled for that" example:"/ip4/10.1.2.4/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"`

	MaxPeers          int      `toml:"max_peers,omitzero" comment:"how many peers at most" default:"50"`
	MaxInbound        int      `toml:"max_inbound,omitzero" comment:"of max_peers, those that dialled us; at most two thirds" default:"two thirds of max_peers" example:"33"`
	PeerGrace         Duration `toml:"peer_grace,omitempty" comment:"how long a new peer is not let go for another" default:"0s" example:"30s"`
	MinScore          float64  `toml:"min_score,omitzero" comment:"below it a peer is not dialled, nor kept" default:"-50"`
	NetRestrict       []string `toml:"net_restrict,omitempty" comment:"the only address ranges to dial, to accept and to hear of" default:"all" example:"10.0.0.0/8"`
	AllowPrivate      bool     `toml:"allow_private,omitempty" comment:"discovery tells of loopback and private addresses too" default:"false"`
	NoDial            bool     `toml:"no_dial,omitempty" comment:"dial nobody" default:"false"`
	NoListen          bool     `toml:"no_listen,omitempty" comment:"listen nowhere" default:"false"`
	NoDiscovery       bool     `toml:"no_discovery,omitempty" comment:"look for nobody" default:"false"`
	MDNS              bool     `toml:"mdns,omitempty" comment:"look for peers in the local network" default:"false"`
	DiscoveryInterval Duration `toml:"discovery_interval,omitzero" comment:"the pause between two rounds of discovery" default:"30s"`
	Target            string   `toml:"target,omitempty" comment:"a block that is trusted and to be reached, as NUMBER:HASH" example:"7:0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"`

	Limits    Limits    `toml:"limits,omitempty"`
	Sequenced Sequenced `toml:"sequenced,omitempty"`
	OPStack   OPStack   `toml:"opstack,omitempty"`
	Ethereum  Ethereum  `toml:"ethereum,omitempty"`
	Ontology  Ontology  `toml:"ontology,omitempty"`
}

// Limits is the [network.limits] table.
type Limits struct {
	CountLoopback bool `toml:"count_loopback,omitempty" comment:"limits by address hold for loopback too" default:"false"`
	SyncMemory    Size `toml:"sync_memory,omitzero" comment:"blocks held in memory while syncing" default:"128MiB"`
	NoBudgets     bool `toml:"no_budgets,omitempty" comment:"serve without limits: for benchmarks" default:"false"`
	PeerRate      Size `toml:"peer_rate,omitzero" comment:"served a second to one peer" default:"64MiB"`
	PrefixRate    Size `toml:"prefix_rate,omitzero" comment:"served a second to all of an address range" default:"128MiB"`
	GlobalRate    Size `toml:"global_rate,omitzero" comment:"served a second to all" default:"512MiB"`
}

// Sequenced is the [network.sequenced] table: a chain of the sequenced family.
type Sequenced struct {
	Sequencer     string            `toml:"sequencer" comment:"the public key that signs blocks; this and all below but produce_key and forks are the same on every node" example:"0101010101010101010101010101010101010101010101010101010101010101"`
	GenesisTime   time.Time         `toml:"genesis_time" comment:"the time of the genesis block" example:"2026-01-02T03:04:05Z"`
	BlockInterval Duration          `toml:"block_interval,omitzero" comment:"the pause between two blocks" default:"1s"`
	MaxBlock      Size              `toml:"max_block,omitzero" comment:"how large a block may be" default:"8MiB"`
	ProduceKey    string            `toml:"produce_key,omitempty" comment:"the sequencer's key file; only on the node that makes the blocks" example:"keys/sequencer.key"`
	Alloc         map[string]uint64 `toml:"alloc,omitempty" comment:"what accounts own at genesis" example:"0202020202020202020202020202020202020202020202020202020202020202=5"`
	// Forks is the fork schedule: from which block a named set of rules counts.
	Forks map[string]uint64 `toml:"forks,omitempty" comment:"from which block a named set of rules counts" example:"harbour=9"`
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
