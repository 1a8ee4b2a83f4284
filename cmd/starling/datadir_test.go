package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
)

// oneNode is a sequencer whose datadir was never run.
func oneNode(t *testing.T) (context.Context, *devnet.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx, newNet(t, 1, nil).Node(0)
}

// usable checks that nothing of a refused start is in the way: there is no
// socket, and the node starts, answers and stops.
func usable(ctx context.Context, t *testing.T, node *devnet.Node) {
	t.Helper()
	if _, err := os.Lstat(daemon.SocketPath(node.Dir())); !os.IsNotExist(err) {
		t.Errorf("the refused start left a socket: %v", err)
	}
	if err := node.Start(ctx); err != nil {
		t.Error(err)
		return
	}
	if err := node.Call(ctx, "starling_checkInvariants", nil); err != nil {
		t.Error(err)
	}
	if err := node.Stop(); err != nil {
		t.Error(err)
	}
}

// TestBadKeyFilesAreRefused shows threat row S-08: a key file that others can
// read, that is cut short, a link, missing or another's is refused in one line
// that says what to do, and no file is overwritten.
func TestBadKeyFilesAreRefused(t *testing.T) {
	do := func(errs ...error) error { return errorsOf(errs) }
	write := func(name, text string, mode os.FileMode) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, "keys", name)
			return do(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
		}
	}
	link := func(name string) func(dir string) error {
		return func(dir string) error {
			path := filepath.Join(dir, "keys", name)
			return do(os.Rename(path, path+".real"), os.Symlink(name+".real", path))
		}
	}
	mode := func(name string, mode os.FileMode) func(dir string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
	}
	tests := []struct {
		name  string
		spoil func(dir string) error
		want  []string
	}{
		{"loose node key", mode("keys/node.key", 0o644), []string{"network.key_file", "node.key", "0644", "chmod 600"}},
		{"node key for the group", mode("keys/node.key", 0o640), []string{"node.key", "0640", "chmod 600"}},
		{"node key cut short", write("node.key", "\x08\x01\x12", 0o600), []string{"node.key", "damaged", "restore it"}},
		{"empty node key", write("node.key", "", 0o600), []string{"node.key", "0 bytes", "restore it"}},
		{"node key as a link", link("node.key"), []string{"node.key", "symbolic link", "name the file itself"}},
		{"loose sequencer key", mode("keys/sequencer.key", 0o604), []string{"network.sequenced.produce_key", "sequencer.key", "0604", "chmod 600"}},
		{"sequencer key cut short", write("sequencer.key", "abcd", 0o600), []string{"network.sequenced.produce_key", "64 hex digits", "restore it"}},
		{"sequencer key as a link", link("sequencer.key"), []string{"network.sequenced.produce_key", "symbolic link"}},
		{"no sequencer key", func(dir string) error { return os.Remove(filepath.Join(dir, "keys", "sequencer.key")) }, []string{"network.sequenced.produce_key", "no such file", "restore it"}},
		{"another sequencer's key", write("sequencer.key", strings.Repeat("01", 32), 0o600), []string{"network.sequenced.produce_key", "is not that of the sequencer"}},
		{"keys where everybody writes", mode("keys", 0o777), []string{"keys", "0777", "chmod 700"}},
		{"a datadir where everybody writes", mode(".", 0o777), []string{"0777", "chmod 700"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, node := oneNode(t)
			usable(ctx, t, node) // which makes node.key
			keys := filepath.Join(node.Dir(), "keys")
			good := snapshot(t, keys)
			if err := tt.spoil(node.Dir()); err != nil {
				t.Fatal(err)
			}
			spoiled := snapshot(t, keys)
			refused(t, node.ConfigPath(), tt.want...)
			if !maps.Equal(spoiled, snapshot(t, keys)) {
				t.Error("the key files were written to")
			}
			repair(t, node.Dir(), good)
			usable(ctx, t, node)
		})
	}
}

// repair puts the key files back.
func repair(t *testing.T, dir string, good map[string]string) {
	t.Helper()
	errs := []error{os.Chmod(dir, 0o700), os.Chmod(filepath.Join(dir, "keys"), 0o700)}
	for path, text := range good {
		os.Remove(path)
		errs = append(errs, os.WriteFile(path, []byte(text), 0o600))
	}
	if err := errorsOf(errs); err != nil {
		t.Fatal(err)
	}
}

func errorsOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// New key files are the owner's alone, and so is the socket. Threat rows S-08
// and A-01.
func TestWhatANodeMakesIsItsOwnersAlone(t *testing.T) {
	ctx, node := oneNode(t)
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{
		".": 0o700, "keys": 0o700, "keys/node.key": 0o600, "keys/sequencer.key": 0o600, "starling.sock": 0o600, "VERSION": 0o600, "LOCK": 0o600, "peers": 0o700,
	} {
		info, err := os.Stat(filepath.Join(node.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", name, got, want)
		}
	}
	for _, a := range node.Addrs() {
		if !strings.HasPrefix(a, "/ip4/127.0.0.1/") {
			t.Errorf("listens on %s without being asked", a)
		}
	}
}

// Two processes on one datadir: the second is refused, and the first does not
// notice. Threat row S-06.
func TestASecondProcessOnADatadirIsRefused(t *testing.T) {
	ctx, node := oneNode(t)
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	refused(t, node.ConfigPath(), node.Dir(), "in use by another process", "stop it, or choose another datadir")
	if _, err := node.Status(ctx); err != nil {
		t.Errorf("the first process does not answer any more: %v", err)
	}
	if err := node.Stop(); err != nil {
		t.Error(err)
	}
	usable(ctx, t, node)
}

// A folder that holds something else is left as it is, by run and by init.
func TestForeignFoldersAreLeftAlone(t *testing.T) {
	dir := newDatadir(t)
	if err := os.WriteFile(filepath.Join(dir, "photos.jpg"), []byte("us"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	refused(t, configOf(dir), dir, `"photos.jpg"`, "not a datadir", "choose an empty folder")
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "photos.jpg"), []byte("us"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := starling(t, "init", "--datadir", foreign)
	if line := only(t, stderr); code != exitUsage || !strings.Contains(line, `"photos.jpg"`) || !strings.Contains(line, "choose an empty folder") {
		t.Errorf("init: exit code %d and %q", code, line)
	}
	if entries, _ := os.ReadDir(foreign); len(entries) != 1 {
		t.Errorf("init left %v in a folder that is not ours", entries)
	}
	if !maps.Equal(before, snapshot(t, dir)) {
		t.Error("run has changed a folder that is not ours")
	}
}

// A datadir or a ledger of a newer layout is refused by name. Threat row S-07.
func TestNewerLayoutsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		file, text string
		want       []string
	}{
		{"VERSION", "starling datadir 2\n", []string{"starling datadir 2", "starling datadir 1", "another folder"}},
		{"chain/SCHEMA", "starling ledger schema 9\n", []string{"schema 9", "run a newer one"}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			ctx, node := oneNode(t)
			usable(ctx, t, node)
			path := filepath.Join(node.Dir(), tt.file)
			was, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, path, func(string) string { return tt.text })
			refused(t, node.ConfigPath(), tt.want...)
			if now, err := os.ReadFile(path); err != nil || string(now) != tt.text {
				t.Errorf("%s was changed to %q: %v", tt.file, now, err)
			}
			rewrite(t, path, func(string) string { return string(was) })
			usable(ctx, t, node)
		})
	}
}

// A config that describes another network than the datadir holds is refused,
// whatever of the genesis differs.
func TestAnotherGenesisIsRefused(t *testing.T) {
	ctx, node := oneNode(t)
	usable(ctx, t, node)
	raw, err := os.ReadFile(node.ConfigPath())
	if err != nil {
		t.Fatal(err)
	}
	account := strings.Repeat("ab", 32)
	for name, change := range map[string]func(string) string{
		"name": func(s string) string { return strings.Replace(s, `name = "dev"`, `name = "other"`, 1) },
		"time": func(s string) string { return strings.Replace(s, "genesis_time = 202", "genesis_time = 201", 1) },
		"pace": func(s string) string {
			return strings.Replace(s, `block_interval = "200ms"`, `block_interval = "300ms"`, 1)
		},
		"alloc": func(s string) string {
			const table = "[network.sequenced.alloc]\n"
			return strings.Replace(s, table, table+account+" = 5\n", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rewrite(t, node.ConfigPath(), func(string) string { return change(string(raw)) })
			refused(t, node.ConfigPath(), filepath.Join(node.Dir(), "chain"), `network "dev"`, "genesis", "choose another data directory")
		})
	}
	rewrite(t, node.ConfigPath(), func(string) string { return string(raw) })
	usable(ctx, t, node)
}

// A port in use, an address that is not this machine's and a port for root
// alone are refused with the address, and the datadir is free afterwards.
// Threat row C-06.
func TestAddressesThatCannotBeListenedOnAreRefused(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	ctx, node := oneNode(t)
	raw, err := os.ReadFile(node.ConfigPath())
	if err != nil {
		t.Fatal(err)
	}
	listen := func(addrs ...string) {
		rewrite(t, node.ConfigPath(), func(string) string {
			free := `listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"]`
			if !bytes.Contains(raw, []byte(free)) {
				t.Fatalf("the config does not say %s:\n%s", free, raw)
			}
			return strings.Replace(string(raw), free, fmt.Sprintf("listen = [%q, %q]", addrs[0], addrs[1]), 1)
		})
	}
	const someTCP, someUDP = "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"
	taken := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", tcp.Addr().(*net.TCPAddr).Port)
	listen(taken, someUDP)
	refused(t, node.ConfigPath(), "network.listen", taken, "in use", "choose another port")
	taken = fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", udp.LocalAddr().(*net.UDPAddr).Port)
	listen(someTCP, taken)
	refused(t, node.ConfigPath(), "network.listen", taken, "in use", "choose another port")
	listen("/ip4/192.0.2.1/tcp/0", someUDP) // TEST-NET-1, nobody's address
	refused(t, node.ConfigPath(), "network.listen", "/ip4/192.0.2.1/tcp/0", "choose another port or address")
	listen("/ip4/127.0.0.1/tcp/1", someUDP)
	t.Run("privileged port", func(t *testing.T) {
		if !privileged(1) {
			t.Log("unproven here: this machine gives port 1 to everybody")
			return
		}
		stderr, code := asNobody(t, node.Dir(), "run", "--config", node.ConfigPath())
		if line := only(t, stderr); code != exitUsage || !strings.Contains(line, "network.listen: cannot listen on /ip4/127.0.0.1/tcp/1: ") || !strings.Contains(line, "choose another port") {
			t.Errorf("exit code %d and %q", code, line)
		}
	})
	listen(someTCP, someUDP)
	usable(ctx, t, node)
}

// privileged reports whether a port is kept for root.
func privileged(port int) bool {
	raw, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	first, aerr := strconv.Atoi(strings.TrimSpace(string(raw)))
	return err != nil || aerr != nil || port < first
}

// nobody is a user without rights.
const nobody = 65534

// asNobody runs a command line as a user without rights who owns the datadir
// for the time; as ourselves if we are not root.
func asNobody(t *testing.T, dir string, args ...string) (stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	if os.Getuid() == 0 {
		// The test's binary may lie where only root can go: this way leads there.
		cmd.Path = "/proc/self/exe"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		own := func(id int) {
			filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if err == nil {
					err = os.Lchown(path, id, id)
				}
				return err
			})
		}
		open(t, dir)
		own(nobody)
		defer own(0)
	}
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("%q could not be run without rights", args)
	}
	return errs.String(), cmd.ProcessState.ExitCode()
}

// open lets everybody pass through the test's folders above dir.
func open(t *testing.T, dir string) {
	t.Helper()
	for up := filepath.Dir(dir); up != filepath.Clean(os.TempDir()) && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// A datadir that cannot be made or written is refused.
func TestUnusableDatadirsAreRefused(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		dir := newDatadir(t)
		rewrite(t, configOf(dir), func(s string) string { return "datadir = \"config.toml/x\"\n" + s })
		refused(t, configOf(dir), "config.toml/x", "not a directory", "choose another datadir")
	})
	t.Run("no right to write", func(t *testing.T) {
		dir := newDatadir(t)
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir, 0o700)
		stderr, code := asNobody(t, dir, "run", "--config", configOf(dir))
		if line := only(t, stderr); code != exitUsage || !strings.Contains(line, dir) || !strings.Contains(line, "permission denied") || !strings.Contains(line, "choose another datadir") {
			t.Errorf("exit code %d and %q", code, line)
		}
	})
	t.Run("a config that is not ours to read", func(t *testing.T) {
		dir := newDatadir(t)
		if err := os.Chmod(configOf(dir), 0); err != nil {
			t.Fatal(err)
		}
		stderr, code := asNobody(t, dir, "run", "--config", configOf(dir))
		if line := only(t, stderr); code != exitUsage || !strings.Contains(line, "permission denied") || !strings.Contains(line, "make it readable") {
			t.Errorf("exit code %d and %q", code, line)
		}
	})
}

// blocksOf gives what a node answers for each block up to number, an error's
// text where it answers none.
func blocksOf(ctx context.Context, node *devnet.Node, number uint64) []string {
	var out []string
	for i := range number + 1 {
		var raw daemon.BlockReply
		if err := node.Call(ctx, "starling_block", &raw, i); err != nil {
			out = append(out, "error: "+err.Error())
			continue
		}
		out = append(out, fmt.Sprintf("%+v", raw))
	}
	return out
}

// TestCorruptChainDataIsNeitherServedNorDeleted flips a byte of each file of a
// chain in turn. Either the node refuses to start, with a hint and without a
// change to what it stores, or it starts and gives each block as it was or not
// at all. (At the end of the store's log a flipped byte can't be told from a
// write that a power loss cut short: the node starts below it.)
func TestCorruptChainDataIsNeitherServedNorDeleted(t *testing.T) {
	ctx, node := oneNode(t)
	if err := node.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := node.Await(ctx, "block 12", func(s daemon.StatusReply) bool { return s.Head.Number >= 12 }); err != nil {
		t.Fatal(err)
	}
	if err := node.Call(ctx, "sequencer_pause", nil); err != nil {
		t.Fatal(err)
	}
	const sample = 8
	good := blocksOf(ctx, node, sample)
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	chainDir := filepath.Join(node.Dir(), "chain")
	files := snapshot(t, chainDir)
	refusals := 0
	for _, path := range slices.Sorted(maps.Keys(files)) {
		text := files[path]
		if len(text) == 0 || strings.HasSuffix(path, "pool.journal") {
			continue
		}
		spoiled := []byte(text)
		spoiled[len(spoiled)/2] ^= 0x40
		if err := os.WriteFile(path, spoiled, 0o600); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, chainDir)
		err := node.Start(ctx)
		name := strings.TrimPrefix(path, chainDir)
		if err != nil {
			refusals++
			damaged(t, node.ConfigPath())
			after := snapshot(t, chainDir)
			for p, was := range before { // the store's own logs may have been rolled on
				if strings.HasSuffix(p, ".sst") && after[p] != was {
					t.Errorf("%s: the refused start changed %s", name, p)
				}
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := node.Start(ctx); err != nil {
				t.Errorf("%s: with the good file back: %v", name, err)
			} else if got := blocksOf(ctx, node, sample); !slices.Equal(got, good) {
				t.Errorf("%s: with the good file back the blocks are %q", name, got)
			}
			if node.Running() {
				if err := node.Stop(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		} else {
			for i, got := range blocksOf(ctx, node, sample) {
				gone := uint64(i) > node.Reopened() && strings.Contains(got, "not found")
				if got != good[i] && !gone && !strings.Contains(got, "corrupt") {
					t.Errorf("%s: block %d is answered with %s, want %s or that it is corrupt", name, i, got, good[i])
				}
			}
			if err := node.Stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		restore(t, chainDir, files)
	}
	if refusals == 0 {
		t.Error("no spoiled file was noticed at the start")
	}
	usable(ctx, t, node)
}

// damaged runs a node whose chain data is damaged: it says so in its last line,
// with what to do, below what the log may say of the file.
func damaged(t *testing.T, config string) {
	t.Helper()
	stdout, stderr, code := starling(t, "run", "--config", config)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if code != exitUsage || stdout != "" || len(lines) > 3 || !strings.Contains(last, "nothing was deleted") || !strings.Contains(last, "restore the directory from a backup") {
		t.Errorf("exit code %d, output %q and %q", code, stdout, stderr)
	}
}

// restore makes a folder hold exactly the files.
func restore(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for path := range snapshot(t, dir) {
		if _, ok := files[path]; !ok {
			os.Remove(path)
		}
	}
	for path, text := range files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
