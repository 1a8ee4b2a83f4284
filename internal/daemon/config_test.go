package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fullConfig has every key.
const fullConfig = `config_version = 1
datadir = "below"
log_level = "debug"
log_format = "json"

[[network]]
name = "harbour"
wire = "native"
listen = ["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/udp/4001/quic-v1"]
advertise = ["/dns/node.example.org/tcp/4001"]
key_file = "keys/other.key"
seeds = ["/dns/seed.example.org/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"]
static = ["/ip4/10.1.2.3/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"]
trusted = ["/ip4/10.1.2.4/udp/1/quic-v1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"]
max_peers = 30
max_inbound = 20
min_score = -40.0
net_restrict = ["10.0.0.0/8"]
allow_private = true
mdns = true
discovery_interval = "1m30s"
target = "7:0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
[network.limits]
count_loopback = true
sync_memory = "64MiB"
peer_rate = "1MiB"
prefix_rate = "2MiB"
global_rate = "3MiB"
[network.sequenced]
sequencer = "0101010101010101010101010101010101010101010101010101010101010101"
genesis_time = 2026-01-02T03:04:05Z
block_interval = "2s"
max_block = "1MiB"
produce_key = "keys/sequencer.key"
[network.sequenced.alloc]
0202020202020202020202020202020202020202020202020202020202020202 = 5
[network.sequenced.forks]
harbour = 9
`

func TestEveryKeyIsReadAndWritten(t *testing.T) {
	c, err := ParseConfig([]byte(fullConfig))
	if err != nil {
		t.Fatal(err)
	}
	n := c.Networks[0]
	if time.Duration(n.DiscoveryInterval) != 90*time.Second || n.Limits.SyncMemory != 64<<20 || n.Sequenced.Forks["harbour"] != 9 || n.MaxInbound != 20 {
		t.Errorf("read %+v", c)
	}
	raw, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseConfig(raw)
	if err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Errorf("written and read again (-first +second):\n%s", diff)
	}
	for _, line := range strings.Split(strings.TrimSpace(fullConfig), "\n") {
		key, _, ok := strings.Cut(line, " = ")
		if ok && !strings.Contains(string(raw), "\n"+key+" = ") && !strings.HasPrefix(string(raw), key) {
			t.Errorf("%q was not written:\n%s", key, raw)
		}
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	text := strings.NewReplacer("max_peers = 30", "max_peers = 3", "min_score = -40.0", "min_score = 40.0", `"harbour"`, `""`, "log_format = \"json\"", "log_format = \"xml\"").Replace(fullConfig)
	_, err := ParseConfig([]byte(text))
	var ce *ConfigError
	if !errors.As(err, &ce) {
		t.Fatalf("got %v, want a *ConfigError", err)
	}
	for _, want := range []string{"network.max_inbound is 20", "network.min_score is 40", "network.name", "log_format"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestRelativeDatadirsAreSeenFromTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.toml")
	for text, want := range map[string]string{
		fullConfig: filepath.Join(dir, "below"),
		strings.Replace(fullConfig, `datadir = "below"`, `datadir = "/srv/x"`, 1):  "/srv/x",
		strings.Replace(fullConfig, "datadir = \"below\"\n", "", 1):                dir,
		strings.Replace(fullConfig, `datadir = "below"`, `datadir = "../next"`, 1): filepath.Join(filepath.Dir(dir), "next"),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := LoadConfig(path)
		if err != nil || c.Datadir != want {
			t.Errorf("the datadir is %q, want %q: %v", c.Datadir, want, err)
		}
	}
}

func TestSizesAndDurations(t *testing.T) {
	for text, want := range map[string]Size{"0B": 0, "1B": 1, "512KiB": 512 << 10, "1MiB": 1 << 20, "3GiB": 3 << 30, "1025B": 1025} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, want %d: %v", text, s, want, err)
		}
		if out, err := s.MarshalText(); err != nil || string(out) != text {
			t.Errorf("%s is written as %s: %v", text, out, err)
		}
	}
	for _, text := range []string{"", "1", "MiB", "-1MiB", "+1MiB", "1.5MiB", "01MiB", "1 MiB", "1MB", "1mib", "9999999999999GiB", "99999999999999999999B"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %d bytes", text, s)
		}
	}
	for _, text := range []string{"", "5", "-1s", "2 parsecs", "1d"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %v", text, time.Duration(d))
		}
	}
}

// FuzzParseConfig checks that any text is read or refused in one line with a
// *ConfigError, and that what is read is the same when written and read again.
// Threat row S-11.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(fullConfig))
	f.Add([]byte("config_version = 1\n[[network]]\nmax_pears = 3\n"))
	f.Add([]byte("config_version = \"1\"\n"))
	f.Add([]byte("[[network]]\nname = \n"))
	f.Add([]byte("network = 3"))
	f.Add([]byte("[[network.sequenced]]\n[network.sequenced.alloc]\nx = -1\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := ParseConfig(in)
		if err != nil {
			var ce *ConfigError
			if !errors.As(err, &ce) {
				t.Fatalf("%v is no *ConfigError", err)
			}
			if ce.Line < 0 || ce.Line > strings.Count(string(in), "\n")+1 {
				t.Fatalf("line %d of %q", ce.Line, in)
			}
			return
		}
		raw, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseConfig(raw)
		if err != nil {
			t.Fatalf("%v in\n%s", err, raw)
		}
		if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("written and read again (-first +second):\n%s", diff)
		}
	})
}
