package doctor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/internal/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time by a clock that is right.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// well is an environment in which nothing is wrong.
func well() doctor.Env {
	return doctor.Env{
		Now: func() time.Time { return noon },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		},
		Dial:    func(context.Context, string, string) (net.Conn, error) { a, b := net.Pipe(); b.Close(); return a, nil },
		Bind:    func(context.Context, string, string) error { return nil },
		Files:   func() (uint64, error) { return 65_536, nil },
		Space:   func(string) (uint64, uint64, error) { return 100 << 30, 200 << 30, nil },
		LocalIP: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("203.0.113.5")}, nil },
	}
}

// healthy is what a config says in which nothing is wrong.
func healthy(t *testing.T) doctor.Input {
	t.Helper()
	dir := t.TempDir()
	key := filepath.Join(dir, "node.key")
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(key, []byte("key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return doctor.Input{
		Datadir: dir, Keys: []doctor.Key{{What: "the node's identity", Path: key}},
		Listen: []doctor.Endpoint{{Text: "/ip4/0.0.0.0/tcp/4001", Net: "tcp", Host: "0.0.0.0", Port: 4001}}, Names: []string{"seed.example.org"},
		Genesis: noon.Add(-time.Hour),
	}
}

func TestAHealthyMachineFailsNothing(t *testing.T) {
	r := doctor.Run(t.Context(), healthy(t), well())
	for _, x := range r.Results {
		if x.Level != doctor.OK {
			t.Errorf("%+v", x)
		}
	}
	if r.Failed() || len(r.Results) < 8 {
		t.Errorf("%d results: %+v", len(r.Results), r)
	}
}

// Each trouble is named first, with its value and a remedy.
func TestEachTroubleIsNamedFirst(t *testing.T) {
	told := func(texts ...string) (out []doctor.Endpoint) {
		for _, s := range texts {
			host, port, _ := net.SplitHostPort(s)
			var n uint16
			fmt.Sscan(port, &n)
			out = append(out, doctor.Endpoint{Text: s, Net: "tcp", Host: host, Port: n})
		}
		return out
	}
	node := func(in *doctor.Input) { in.Node = &doctor.Node{Told: told("203.0.113.5:4001")} }
	busy := func(context.Context, string, string) error { return &net.OpError{Op: "listen", Err: unix.EADDRINUSE} }
	for _, tt := range []struct {
		name  string
		spoil func(in *doctor.Input, env *doctor.Env)
		check string
		level doctor.Level
		want  []string
	}{
		{"config", func(in *doctor.Input, _ *doctor.Env) {
			in.ConfigErr = errors.New("config.toml line 3: max_peers is -1")
		}, doctor.CheckConfig, doctor.Fail, []string{"line 3", "config check"}},
		{"config with several mistakes", func(in *doctor.Input, _ *doctor.Env) {
			in.ConfigErr = errors.Join(errors.New("line 3: max_peers is -1"), errors.New("line 4: wire is \"x\""))
		}, doctor.CheckConfig, doctor.Fail, []string{"is -1; line 4"}},
		{"no config", func(in *doctor.Input, _ *doctor.Env) {
			in.ConfigErr = &fs.PathError{Op: "open", Path: "config.toml", Err: fs.ErrNotExist}
		}, doctor.CheckConfig, doctor.Fail, []string{"config.toml", "starling init", "--datadir"}},
		{"disk full", func(_ *doctor.Input, env *doctor.Env) {
			env.Space = func(string) (uint64, uint64, error) { return 1 << 20, 100 << 30, nil }
		}, doctor.CheckDisk, doctor.Fail, []string{"disk is full", "1024 KiB", "make room"}},
		{"disk nearly full", func(_ *doctor.Input, env *doctor.Env) {
			env.Space = func(string) (uint64, uint64, error) { return 1 << 30, 100 << 30, nil }
		}, doctor.CheckDisk, doctor.Warn, []string{"1024 MiB"}},
		{"datadir open to all", func(in *doctor.Input, _ *doctor.Env) { os.Chmod(in.Datadir, 0o777) }, doctor.CheckDatadir, doctor.Fail, []string{"0777", "chmod 700"}},
		{"datadir missing", func(in *doctor.Input, _ *doctor.Env) { in.Datadir += "/nothing" }, doctor.CheckDatadir, doctor.Warn, []string{"does not exist"}},
		{"datadir is a file", func(in *doctor.Input, _ *doctor.Env) { in.Datadir = in.Keys[0].Path }, doctor.CheckDatadir, doctor.Fail, []string{"is no folder"}},
		{"datadir of another", func(in *doctor.Input, _ *doctor.Env) { in.Foreign = "it holds \"photos\"" }, doctor.CheckDatadir, doctor.Fail, []string{"photos"}},
		{"locked and silent", func(in *doctor.Input, _ *doctor.Env) { in.Locked = true }, doctor.CheckLock, doctor.Fail, []string{"another process", "fuser"}},
		{"key open to others", func(in *doctor.Input, _ *doctor.Env) { os.Chmod(in.Keys[0].Path, 0o644) }, doctor.CheckKeys, doctor.Fail, []string{"0644", "chmod 600"}},
		{"key empty", func(in *doctor.Input, _ *doctor.Env) { os.Truncate(in.Keys[0].Path, 0) }, doctor.CheckKeys, doctor.Fail, []string{"is empty"}},
		{"key a link", func(in *doctor.Input, _ *doctor.Env) {
			link := in.Keys[0].Path + ".link"
			os.Symlink(in.Keys[0].Path, link)
			in.Keys[0].Path = link
		}, doctor.CheckKeys, doctor.Fail, []string{"symbolic link"}},
		{"needed key missing", func(in *doctor.Input, _ *doctor.Env) { in.Keys[0].Path += ".gone"; in.Keys[0].Needed = true }, doctor.CheckKeys, doctor.Fail, []string{"is missing", "restore"}},
		{"few files", func(_ *doctor.Input, env *doctor.Env) { env.Files = func() (uint64, error) { return 64, nil } }, doctor.CheckFiles, doctor.Fail, []string{"64 files", "LimitNOFILE"}},
		{"clock of 1970", func(in *doctor.Input, env *doctor.Env) {
			in.Genesis = time.Time{}
			env.Now = func() time.Time { return time.Unix(5, 0) }
		}, doctor.CheckClock, doctor.Fail, []string{"1970-01-01", "NTP"}},
		{"clock before genesis", func(_ *doctor.Input, env *doctor.Env) { env.Now = func() time.Time { return noon.Add(-2 * time.Hour) } }, doctor.CheckClock, doctor.Fail, []string{"before the network's genesis"}},
		{"port in use", func(_ *doctor.Input, env *doctor.Env) { env.Bind = busy }, doctor.CheckPorts, doctor.Fail, []string{"/tcp/4001 is in use", "another port"}},
		{"port not allowed", func(_ *doctor.Input, env *doctor.Env) {
			env.Bind = func(context.Context, string, string) error { return unix.EACCES }
		}, doctor.CheckPorts, doctor.Fail, []string{"may not listen", "CAP_NET_BIND_SERVICE"}},
		{"address of another machine", func(_ *doctor.Input, env *doctor.Env) {
			env.Bind = func(context.Context, string, string) error { return unix.EADDRNOTAVAIL }
		}, doctor.CheckPorts, doctor.Fail, []string{"does not have that address"}},
		{"any port", func(in *doctor.Input, _ *doctor.Env) { in.Listen[0].Port = 0 }, doctor.CheckPorts, doctor.Warn, []string{"any free port"}},
		{"config changed since", func(in *doctor.Input, env *doctor.Env) { node(in) }, doctor.CheckPorts, doctor.Fail, []string{"does not listen", "restart"}},
		{"listening off", func(in *doctor.Input, _ *doctor.Env) { in.NoListen = true }, doctor.CheckPorts, doctor.Warn, []string{"listening is off", "no_listen"}},
		{"another port advertised", func(in *doctor.Input, _ *doctor.Env) { in.Advertise = told("203.0.113.5:5001") }, doctor.CheckAdvertise, doctor.Warn, []string{"you advertise 203.0.113.5:5001 but listen on /ip4/0.0.0.0/tcp/4001", "forward port 5001"}},
		{"private advertised", func(in *doctor.Input, _ *doctor.Env) { in.Advertise = told("10.0.0.7:4001") }, doctor.CheckAdvertise, doctor.Warn, []string{"10.0.0.7", "public address"}},
		{"loopback advertised", func(in *doctor.Input, _ *doctor.Env) { in.Advertise = told("127.0.0.1:4001") }, doctor.CheckAdvertise, doctor.Fail, []string{"would call themselves"}},
		{"everywhere advertised", func(in *doctor.Input, _ *doctor.Env) { in.Advertise = told("0.0.0.0:4001") }, doctor.CheckAdvertise, doctor.Fail, []string{"no address of a machine"}},
		{"the other IP version", func(in *doctor.Input, _ *doctor.Env) { in.Advertise = told("[2001:db8::1]:4001") }, doctor.CheckAdvertise, doctor.Warn, []string{"other IP version"}},
		{"a transport that is not listened on", func(in *doctor.Input, _ *doctor.Env) {
			in.Advertise = told("203.0.113.5:4001")
			in.Advertise[0].Net = "udp"
		}, doctor.CheckAdvertise, doctor.Fail, []string{"listen on no udp port"}},
		{"behind a NAT", func(_ *doctor.Input, env *doctor.Env) {
			env.LocalIP = func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.168.1.4")}, nil }
		}, doctor.CheckAdvertise, doctor.Warn, []string{"192.168.1.4", "network.advertise"}},
		{"not reachable", func(in *doctor.Input, env *doctor.Env) {
			node(in)
			env.Bind = busy
			env.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, unix.ECONNREFUSED }
		}, doctor.CheckReachability, doctor.Warn, []string{"203.0.113.5:4001 cannot be reached", "starling probe"}},
		{"names that do not resolve", func(_ *doctor.Input, env *doctor.Env) {
			env.Lookup = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", Name: "seed.example.org"}
			}
		}, doctor.CheckDNS, doctor.Fail, []string{"seed.example.org", "no such host", "resolv.conf"}},
		{"what the node says", func(in *doctor.Input, env *doctor.Env) {
			node(in)
			env.Bind = busy
			in.Node.Results = []doctor.Result{{Check: doctor.CheckPeers, Level: doctor.Fail, Detail: "no peers: it has another genesis", Remedy: "compare"}}
		}, doctor.CheckPeers, doctor.Fail, []string{"another genesis", "compare"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, env := healthy(t), well()
			tt.spoil(&in, &env)
			r := doctor.Run(t.Context(), in, env)
			first := r.Results[0]
			if first.Check != tt.check || first.Level != tt.level || r.Failed() != (tt.level == doctor.Fail) || first.Remedy == "" {
				t.Errorf("first comes %+v, want %s %s; failed %v", first, tt.check, tt.level, r.Failed())
			}
			for _, w := range tt.want {
				if !strings.Contains(first.Detail+" "+first.Remedy, w) {
					t.Errorf("%+v does not say %q", first, w)
				}
			}
			left, _ := filepath.Glob(filepath.Join(in.Datadir, ".doctor-*"))
			if len(left) > 0 {
				t.Errorf("%q is left behind", left)
			}
		})
	}
}

// The real ports, limits, disk and addresses of this machine.
func TestTheMachineItself(t *testing.T) {
	in := healthy(t)
	in.Names, in.Genesis = nil, time.Time{}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := netip.MustParseAddrPort(taken.Addr().String()).Port()
	in.Private = true
	in.Listen = []doctor.Endpoint{{Text: "taken", Net: "tcp", Host: "127.0.0.1", Port: port}, {Text: "free", Net: "udp", Host: "127.0.0.1", Port: port}}
	r := doctor.Run(t.Context(), in, doctor.Env{Space: well().Space, Files: well().Files})
	if first := r.Results[0]; first.Check != doctor.CheckPorts || !strings.Contains(first.Detail, "taken is in use") {
		t.Errorf("%+v", first)
	}
	if r = doctor.Run(t.Context(), healthy(t), doctor.Env{Lookup: well().Lookup, Bind: well().Bind}); len(r.Results) < 8 {
		t.Errorf("%+v", r)
	}
}

// Threat M-11: texts of DNS and of a node do not get out of their line.
func TestReportIsOneLineForEach(t *testing.T) {
	evil := "a\nfail  keys  all lost\x1b[2J\xff" + strings.Repeat("é", 5000)
	r := doctor.Of(doctor.Result{Check: doctor.CheckDNS, Level: doctor.Fail, Detail: evil, Remedy: evil})
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || out.Len() > 4000 || !utf8.Valid(out.Bytes()) || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines, %d bytes: %.200q", n, out.Len(), out.String())
	}
}
