package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheRPCTableSaysWhatIsWrongWithIt(t *testing.T) {
	for _, tt := range []struct {
		name string
		rpc  RPC
		want []string // in the error; none: it is fine
	}{
		{"left out", RPC{}, nil},
		{"loopback", RPC{Listen: "127.0.0.1:7701"}, nil},
		{"loopback of IPv6", RPC{Listen: "[::1]:0"}, nil},
		{"by name", RPC{Listen: "localhost:7701"}, nil},
		{"public with a token", RPC{Listen: "0.0.0.0:7701", TokenFile: "keys/rpc.token"}, nil},
		// Threat row A-01.
		{"public without a token", RPC{Listen: "0.0.0.0:7701"}, []string{`rpc.listen is "0.0.0.0:7701"`, "rpc.token_file is not set", "127.0.0.1"}},
		{"everywhere without a token", RPC{Listen: ":7701"}, []string{"rpc.listen", `":7701"`, "before the port"}},
		{"public IPv6 without a token", RPC{Listen: "[::]:7701"}, []string{"rpc.listen", "rpc.token_file"}},
		{"no port", RPC{Listen: "127.0.0.1"}, []string{"rpc.listen", `"127.0.0.1"`, "127.0.0.1:7701"}},
		{"a port that is none", RPC{Listen: "127.0.0.1:99999"}, []string{"rpc.listen", "99999"}},
		{"another name", RPC{Listen: "example.org:1"}, []string{"rpc.listen", "example.org", "IP address"}},
		{"names and pages", RPC{Hosts: []string{"node.example.org"}, Origins: []string{"https://example.org", "http://localhost:3000"}}, nil},
		{"any host", RPC{Hosts: []string{"*"}}, []string{"rpc.hosts", `"*"`}},
		{"a host with a port", RPC{Hosts: []string{"a:1"}}, []string{"rpc.hosts", `"a:1"`, "without port"}},
		{"any origin", RPC{Origins: []string{"*"}}, []string{"rpc.origins", `"*"`, "https://"}},
		{"an origin with a path", RPC{Origins: []string{"https://a/b"}}, []string{"rpc.origins", "https://a/b"}},
		{"one file for both", RPC{TokenFile: "x", ReadTokenFile: "x"}, []string{"rpc.read_token_file", "rpc.token_file"}},
		{"fewer than no connections", RPC{MaxConnections: -1}, []string{"rpc.max_connections is -1"}},
		{"too fast", RPC{Rate: 1 << 30}, []string{"rpc.rate", "1000000"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p problems
			tt.rpc.check(&p)
			err := errors.Join(p.errs...)
			if (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("the check gave %v", err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		})
	}
}

func TestTheRPCTableIsReadAndWritten(t *testing.T) {
	cfg := newConfig(t)
	cfg.RPC = RPC{Listen: "127.0.0.1:7701", Hosts: []string{"a"}, Origins: []string{"https://b"}, TokenFile: "t", ReadTokenFile: "r", MaxConnections: 3, Rate: 4}
	raw, err := cfg.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := back.RPC, cfg.RPC; got.Listen != want.Listen || len(got.Hosts) != 1 || len(got.Origins) != 1 || got.TokenFile != want.TokenFile || got.Rate != want.Rate {
		t.Errorf("%+v came back as %+v", want, got)
	}
	for _, spoil := range []string{"[rpc]\nrate = 0\n", "[rpc]\nlisten_on = \"x\"\n"} {
		if _, err := ParseConfig(append([]byte("config_version = 1\n"+spoil), raw[strings.Index(string(raw), "[[network]]"):strings.Index(string(raw), "[rpc]")]...)); err == nil || !strings.Contains(err.Error(), "rpc.") {
			t.Errorf("%q gave %v", spoil, err)
		}
	}
}

// What is in the way of the RPC ends the start, in one line that says what to
// do. Threat rows C-06 and S-08.
func TestAnRPCThatCannotBeServedEndsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, cfg *Config)
		want  string
	}{
		{"port in use", func(_ *testing.T, cfg *Config) { cfg.RPC.Listen = taken.Addr().String() }, "in use by another process; choose another port"},
		{"a token that others can read", func(t *testing.T, cfg *Config) {
			file := filepath.Join(t.TempDir(), "loose")
			if err := os.WriteFile(file, []byte(strings.Repeat("x", 64)), 0o644); err != nil {
				t.Fatal(err)
			}
			cfg.RPC.TokenFile = file
		}, "chmod 600"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := newConfig(t)
			cfg.RPC.Listen = "127.0.0.1:0"
			tt.spoil(t, &cfg)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			var start *StartError
			err := Run(ctx, cfg, Output{})
			if !errors.As(err, &start) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "rpc.") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run gave %v, want one line with %q", err, tt.want)
			}
		})
	}
}
