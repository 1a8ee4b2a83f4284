package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling/internal/daemon"
)

// newDatadir makes the datadir of a sequencer that was never run.
func newDatadir(t *testing.T) string {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	dir := filepath.Join(t.TempDir(), "node")
	cfg := daemon.Config{ConfigVersion: daemon.ConfigVersion, Networks: []daemon.Network{{
		Name: "test", Listen: []string{"/ip4/127.0.0.1/tcp/0"}, AllowPrivate: true,
		Sequenced: daemon.Sequenced{
			Sequencer:   hex.EncodeToString(key.Public().(ed25519.PublicKey)),
			GenesisTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), BlockInterval: daemon.Duration(50 * time.Millisecond),
		},
	}}}
	if err := daemon.Init(dir, cfg, key); err != nil {
		t.Fatal(err)
	}
	return dir
}

func configOf(dir string) string { return filepath.Join(dir, "config.toml") }

// rewrite changes a text file in place.
func rewrite(t *testing.T, path string, change func(string) string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(change(string(raw))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// snapshot is what a folder holds: contents by path.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// refused runs a node that must not start: one line with all of want, exit
// code 2.
func refused(t *testing.T, config string, want ...string) {
	t.Helper()
	stdout, stderr, code := starling(t, "run", "--config", config)
	line := only(t, stderr)
	if code != exitUsage || stdout != "" {
		t.Errorf("exit code %d and output %q, want %d and none", code, stdout, exitUsage)
	}
	for _, w := range want {
		if !strings.Contains(line, w) {
			t.Errorf("the line %q does not say %q", line, w)
		}
	}
}

const somebody = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"

// TestBadConfigsAreRefusedBeforeAnythingIsTouched: one line with the key or
// value and what to do, exit code 2, and the folder is as it was. Threat row S-11.
func TestBadConfigsAreRefusedBeforeAnythingIsTouched(t *testing.T) {
	network := func(line string) func(string) string { // adds a line to [[network]]
		return func(s string) string { return strings.Replace(s, "[[network]]\n", "[[network]]\n"+line+"\n", 1) }
	}
	swap := func(from, to string) func(string) string {
		return func(s string) string { return strings.Replace(s, from, to, 1) }
	}
	end := func(text string) func(string) string { return func(s string) string { return s + text } }
	tests := []struct {
		name   string
		change func(string) string
		want   []string
	}{
		{"unknown key", network("max_pears = 3"), []string{"line 8", `"network.max_pears"`, `did you mean "network.max_peers"?`}},
		{"unknown table", end("[network.limit]\n"), []string{`"network.limit"`, `did you mean "network.limits"?`}},
		{"key in the wrong table", network(`max_block = "1MiB"`), []string{`did you mean "network.sequenced.max_block"?`}},
		{"key like no other", network("frobnicate = 1"), []string{`unknown key "network.frobnicate"`}},
		{"text for a number", network(`max_peers = "many"`), []string{"line 8", "network.max_peers", "string", "integer"}},
		{"text for a list", network(`seeds = "x"`), []string{"line 8", "network.seeds", "string", "array"}},
		{"a number that does not fit", network(`max_peers = 99999999999999999999`), []string{"line 8", "99999999999999999999"}},
		{"no TOML", network("name ="), []string{"line 8"}},
		{"bad duration", network(`discovery_interval = "2 parsecs"`), []string{"line 8", "network.discovery_interval", `"2 parsecs"`, `"30s"`}},
		{"bad size", end("[network.limits]\nsync_memory = \"much\"\n"), []string{"network.limits.sync_memory", `"much"`, `"1MiB"`}},
		{"bad time", swap("2026-01-02T03:04:05Z", `"today"`), []string{"genesis_time", "today"}},
		{"seed without identity", network(`seeds = ["/ip4/127.0.0.1/tcp/1"]`), []string{"network.seeds", "/ip4/127.0.0.1/tcp/1", "append /p2p/ID"}},
		{"seed that is none", network(`seeds = ["hello"]`), []string{"network.seeds", `"hello"`, "write it as"}},
		{"static that is none", network(`static = ["hello"]`), []string{"network.static", `"hello"`}},
		{"trusted that is none", network(`trusted = ["1.2.3.4:5"]`), []string{"network.trusted", `"1.2.3.4:5"`}},
		{"listen that is none", swap(`["/ip4/127.0.0.1/tcp/0"]`, `["nonsense"]`), []string{"network.listen", `"nonsense"`, "write it as"}},
		{"listen on no transport of ours", swap("tcp/0", "tcp/0/ws"), []string{"network.listen", "/ip4/127.0.0.1/tcp/0/ws", "/tcp/PORT"}},
		{"listen on a name", swap("/ip4/127.0.0.1", "/dns/localhost"), []string{"network.listen", "/dns/localhost", "/ip4"}},
		{"advertise that is none", network(`advertise = ["x"]`), []string{"network.advertise", `"x"`}},
		{"advertise everywhere", network(`advertise = ["/ip4/0.0.0.0/tcp/1"]`), []string{"network.advertise", "0.0.0.0"}},
		{"negative limit", network("max_peers = -1"), []string{"network.max_peers is -1", "1 to 10000"}},
		{"no peers", network("max_peers = 0"), []string{"network.max_peers is 0", "leave the key out"}},
		{"no pause", network(`discovery_interval = "0s"`), []string{"network.discovery_interval is 0", "leave the key out"}},
		{"no memory", end("[network.limits]\nsync_memory = \"0B\"\n"), []string{"network.limits.sync_memory is 0"}},
		{"little memory", end("[network.limits]\nsync_memory = \"1KiB\"\n"), []string{"network.limits.sync_memory is 1024", "1048576"}},
		{"more inbound than peers", network("max_peers = 9\nmax_inbound = 30"), []string{"network.max_inbound is 30", "max_peers (9)"}},
		{"no room for outbound", network("max_inbound = 50"), []string{"network.max_inbound is 50", "at most 33"}},
		{"a score that is no score", network("min_score = 5"), []string{"network.min_score is 5", "-100 to 0"}},
		{"listen and no_listen", network("no_listen = true"), []string{"network.no_listen", "listen", "leave one of them out"}},
		{"static and no_dial", network("no_dial = true\nstatic = [\"/ip4/127.0.0.1/tcp/1/p2p/" + somebody + "\"]"), []string{"network.no_dial", "static", somebody}},
		{"seeds and no_dial", network("no_dial = true\nseeds = [\"/ip4/127.0.0.1/tcp/1/p2p/" + somebody + "\"]"), []string{"network.no_dial", "seeds", somebody}},
		{"mdns and no_discovery", network("no_discovery = true\nmdns = true"), []string{"network.no_discovery", "mdns"}},
		{"static outside net_restrict", network("net_restrict = [\"10.0.0.0/8\"]\nstatic = [\"/ip4/127.0.0.1/tcp/1/p2p/" + somebody + "\"]"), []string{"network.static", "network.net_restrict"}},
		{"rates that contradict", end("[network.limits]\npeer_rate = \"2MiB\"\nglobal_rate = \"1MiB\"\n"), []string{"network.limits.peer_rate", "global_rate"}},
		{"a rate and no_budgets", end("[network.limits]\npeer_rate = \"2MiB\"\nno_budgets = true\n"), []string{"network.limits.no_budgets"}},
		{"bad prefix", network(`net_restrict = ["10.0.0.0"]`), []string{"network.net_restrict", `"10.0.0.0"`, `"10.0.0.0/8"`}},
		{"bad target", network(`target = "x"`), []string{"network.target", `"x"`, "NUMBER:HASH"}},
		{"bad level", swap("config_version = 1", "config_version = 1\nlog_level = \"loud\""), []string{"log_level", `"loud"`, "debug, info, warn or error"}},
		{"bad format", swap("config_version = 1", "config_version = 1\nlog_format = \"xml\""), []string{"log_format", `"xml"`}},
		{"newer config", swap("config_version = 1", "config_version = 2"), []string{"config_version is 2", "reads 1"}},
		{"no config version", swap("config_version = 1\n", ""), []string{"config_version"}},
		{"two networks", end("[[network]]\nname = \"other\"\n"), []string{"2 [[network]] tables", "exactly 1"}},
		{"another wire", network(`wire = "carrier-pigeon"`), []string{"network.wire", `"carrier-pigeon"`, `"native"`}},
		{"bad sequencer", swap(`sequencer = "`, `sequencer = "zz`), []string{"network.sequenced.sequencer", "64 hex digits"}},
		{"no genesis time", swap("genesis_time = 2026-01-02T03:04:05Z\n", ""), []string{"network.sequenced.genesis_time is missing"}},
		{"bad account", end("[network.sequenced.alloc]\nfoo = 3\n"), []string{"network.sequenced.alloc", `"foo"`, "64 hex digits"}},
		{"a block of nothing", swap("[network.sequenced]\n", "[network.sequenced]\nmax_block = \"10B\"\n"), []string{"network.sequenced.max_block is 10", "1024"}},
		{"datadir too deep for a socket", swap("config_version = 1", "config_version = 1\ndatadir = \""+strings.Repeat("x", 120)+`"`), []string{"starling.sock", "shorter datadir"}},
		{"all at once", network("max_peers = -1\nmin_score = 5"), []string{"network.max_peers is -1", "network.min_score is 5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDatadir(t)
			rewrite(t, configOf(dir), tt.change)
			before := snapshot(t, dir)
			refused(t, configOf(dir), tt.want...)
			if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
				t.Errorf("the folder has changed (-before +after):\n%s", diff)
			}
		})
	}
}

// A config that cannot be read says so. Threat row S-11.
func TestConfigsThatCannotBeReadAreRefused(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.toml")
	if err := os.WriteFile(huge, []byte(strings.Repeat("#", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(dir, "nowhere.toml"), "nowhere.toml", "starling init")
	refused(t, dir, dir, "regular file")
	refused(t, huge, huge, "1048576 bytes")
}
