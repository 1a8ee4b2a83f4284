package daemon

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// valueOf gives a key's entry.
func valueOf(t *testing.T, c Config, key string) Value {
	t.Helper()
	for _, v := range c.Values() {
		if v.Key == key {
			return v
		}
	}
	t.Fatalf("no key %s", key)
	return Value{}
}

func TestAFlagCountsForMoreThanTheEnvironmentAndThatForMoreThanTheFile(t *testing.T) {
	path := writeConfig(t, fullConfig)
	env, unknown := FromEnv([]string{
		"STARLING_NETWORK_MAX_PEERS=31", "STARLING_NETWORK_MAX_INBOUND=7", "STARLING_LOG_LEVEL=warn", "STARLING_NETWORK_MIN_SCORE=",
		"STARLING_NETWORK_SEQUENCED_FORKS=a=1,b=2", "STARLING_NETWORK_LIMITS_PEER_RATE=512KiB", "STARLING_NETWORK_MAX_PEARS=3", "STARLING_OTHER=1",
		"STARLING_LOG_LEVL=debug", "STARLING_RPC_SERVICE_HOST=10.0.0.1", "STARLING_CONFIG=x", "OTHER_LOG_LEVEL=x",
	})
	if !slices.Equal(unknown, []string{"STARLING_LOG_LEVL", "STARLING_NETWORK_MAX_PEARS", "STARLING_RPC_SERVICE_HOST"}) || NearestEnv(unknown[1]) != "STARLING_NETWORK_MAX_PEERS" {
		t.Errorf("unknown variables are %v, the nearest %q", unknown, NearestEnv("STARLING_NETWORK_MAX_PEARS"))
	}
	flags := []Override{
		{Key: "network.max_peers", Value: "40", Origin: "flag --max-peers"},
		{Key: "network.seeds", Value: "/ip4/10.1.2.3/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp, /ip4/10.1.2.4/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp", Origin: "flag --seed"},
	}
	c, err := LoadLayers(path, append(env, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]Value{
		"network.max_peers":          {Value: "40", Origin: "flag --max-peers"},
		"network.max_inbound":        {Value: "7", Origin: "env STARLING_NETWORK_MAX_INBOUND"},
		"log_level":                  {Value: "warn", Origin: "env STARLING_LOG_LEVEL"},
		"network.min_score":          {Value: "-40", Origin: "file " + path + ":17"},
		"network.sequenced.forks":    {Value: "a=1,b=2", Origin: "env STARLING_NETWORK_SEQUENCED_FORKS"},
		"network.limits.peer_rate":   {Value: "512KiB", Origin: "env STARLING_NETWORK_LIMITS_PEER_RATE"},
		"network.limits.no_budgets":  {Value: "false", Origin: "default"},
		"network.discovery_interval": {Value: "1m30s", Origin: "file " + path + ":21"},
	} {
		if got := valueOf(t, c, key); got.Value != want.Value || got.Origin != want.Origin {
			t.Errorf("%s is %q from %q, want %q from %q", key, got.Value, got.Origin, want.Value, want.Origin)
		}
	}
	if c.Networks[0].MaxPeers != 40 || len(c.Networks[0].Seeds) != 2 || c.Networks[0].Sequenced.Forks["b"] != 2 {
		t.Errorf("the config is %+v", c.Networks[0])
	}
}

func TestProblemsNameTheLineOrTheVariableOrTheFlag(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(string) string
		over   Override
		want   []string
	}{
		"file": {change: func(s string) string { return strings.Replace(s, "max_inbound = 20", "max_inbound = 40", 1) }, want: []string{"line 16", "network.max_inbound is 40"}},
		"two": {change: func(s string) string {
			return strings.NewReplacer("max_peers = 30", "max_peers = -1", "= -40.0", "= 3.0").Replace(s)
		}, want: []string{"line 15: network.max_peers is -1", "network.min_score is"}},
		"zero":       {over: Override{Key: "network.max_peers", Value: "0", Origin: "env STARLING_NETWORK_MAX_PEERS"}, want: []string{"STARLING_NETWORK_MAX_PEERS: network.max_peers is 0", "leave the key out"}},
		"type":       {over: Override{Key: "network.max_peers", Value: "many", Origin: "flag --max-peers"}, want: []string{"--max-peers: network.max_peers", `"many"`, "whole number"}},
		"bool":       {over: Override{Key: "network.mdns", Value: "perhaps", Origin: "flag --x"}, want: []string{`"perhaps"`, "true or false"}},
		"score":      {over: Override{Key: "network.min_score", Value: "low", Origin: "flag --x"}, want: []string{`"low"`, "a number"}},
		"size":       {over: Override{Key: "network.limits.peer_rate", Value: "much", Origin: "flag --x"}, want: []string{`"much"`, "1MiB"}},
		"time":       {over: Override{Key: "network.sequenced.genesis_time", Value: "today", Origin: "flag --x"}, want: []string{`"today"`, "2026-01-02T03:04:05Z"}},
		"table":      {over: Override{Key: "network.sequenced.alloc", Value: "x", Origin: "flag --x"}, want: []string{`"x"`, "NAME=VALUE"}},
		"table item": {over: Override{Key: "network.sequenced.alloc", Value: "x=-1", Origin: "flag --x"}, want: []string{`"-1"`, "0 or more"}},
		"address":    {over: Override{Key: "network.seeds", Value: "hello", Origin: "env STARLING_NETWORK_SEEDS"}, want: []string{"STARLING_NETWORK_SEEDS: network.seeds", `"hello"`}},
	} {
		t.Run(name, func(t *testing.T) {
			text, over := fullConfig, []Override{}
			if tt.change != nil {
				text = tt.change(text)
			} else {
				over = append(over, tt.over)
			}
			if text == fullConfig && len(over) == 0 {
				t.Fatal("nothing was changed")
			}
			_, err := LoadLayers(writeConfig(t, text), over...)
			for _, w := range tt.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not say %q", err, w)
				}
			}
		})
	}
}

// The sample has every key, and what it says is taken by the decoder.
func TestTheSampleIsAConfigWithEveryKey(t *testing.T) {
	if _, err := ParseConfig([]byte(SampleConfig())); err != nil {
		t.Errorf("as it is: %v", err)
	}
	uncommented := regexp.MustCompile(`(?m)^# (\S+ = |\[)`).ReplaceAllString(SampleConfig(), "$1")
	var c Config
	meta, err := toml.Decode(uncommented, &c)
	if err != nil {
		t.Fatalf("with every key: %v in\n%s", err, uncommented)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		t.Errorf("the sample has keys that are none: %v", unknown)
	}
	for _, f := range fields() {
		if f.comment == "" {
			t.Errorf("%s has no comment", f.key)
		}
		if !slices.ContainsFunc(meta.Keys(), func(k toml.Key) bool { return k.String() == f.key }) {
			t.Errorf("%s is not in the sample", f.key)
		}
	}
}

// What "config dump" calls a default is what the parts do.
func TestDefaultsAreAsTheTagsSay(t *testing.T) {
	for key, want := range map[string]string{"network.max_peers": "50", "network.min_score": "-50", "network.discovery_interval": "30s"} {
		if f, ok := fieldOf(key); !ok || f.deflt != want {
			t.Errorf("%s: the tag says %q, want %q", key, f.deflt, want)
		}
	}
	for _, f := range fields() {
		if f.example == "" && f.deflt != "" {
			var c Config
			if err := f.set(&c, f.deflt); err != nil {
				t.Errorf("the default of %s is no value, and there is no example: %v", f.key, err)
			}
		}
	}
}
