package deploy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/daemon"
)

// Bounds of a release that is made in a test: the time is for a machine under
// load, with nothing built.
const (
	releaseTime  = 15 * time.Minute
	releaseBytes = 48 << 20
)

// release makes a release for this machine and unpacks it.
func release(t *testing.T) (dir string, files []string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "dist")
	ctx, cancel := context.WithTimeout(t.Context(), releaseTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "./release.sh")
	cmd.Env = append(os.Environ(), "OUT="+out, "TARGETS="+runtime.GOOS+"/"+runtime.GOARCH, "SOURCE_DATE_EPOCH=1700000000")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release.sh: %v\n%s", err, text)
	}
	name := "starling-" + daemon.Version + "-" + runtime.GOOS + "-" + runtime.GOARCH
	archive := []byte(read(t, filepath.Join(out, name+".tar.gz")))
	sum := sha256.Sum256(archive)
	if got, want := read(t, filepath.Join(out, "SHA256SUMS")), hex.EncodeToString(sum[:])+"  "+name+".tar.gz\n"; got != want {
		t.Errorf("SHA256SUMS has %q, want %q", got, want)
	}
	if len(archive) > releaseBytes {
		t.Errorf("the archive has %d bytes, want at most %d", len(archive), releaseBytes)
	}
	// Without a folder that is empty nothing is made.
	again := exec.CommandContext(ctx, "./release.sh")
	again.Env = cmd.Env
	if text, err := again.CombinedOutput(); err == nil || !bytes.Contains(text, []byte("is not empty")) {
		t.Errorf("a second release into one folder: %v, %s", err, text)
	}
	zip, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if err == io.EOF {
			return filepath.Join(dir, name), files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1700000000 || !filepath.IsLocal(h.Name) {
			t.Errorf("%s: owner %d:%d, time %v; want what is the same each time", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(filepath.Join(dir, h.Name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := io.ReadAll(io.LimitReader(in, 256<<20))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, strings.TrimPrefix(path.Clean(h.Name), name+"/"))
		if err := os.WriteFile(filepath.Join(dir, h.Name), content, h.FileInfo().Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

// The release script runs; what it makes is whole, static and runs; and every
// command that the files here name is one of the program's.
func TestRelease(t *testing.T) {
	dir, files := release(t)
	for _, want := range []string{
		"starling", "LICENSE", "README.md", "CHANGELOG.md", "config.sample.toml", "man/man1/starling.1",
		"completions/starling.bash", "completions/_starling", "completions/starling.fish", "systemd/starling.service", "systemd/starling.sysusers",
	} {
		if !slices.Contains(files, want) && (runtime.GOOS == "linux" || !strings.HasPrefix(want, "systemd/")) {
			t.Errorf("the archive has no %s, but %q", want, files)
		} else if info, err := os.Stat(filepath.Join(dir, want)); err == nil && info.Size() == 0 {
			t.Errorf("%s is empty", want)
		}
	}
	program := filepath.Join(dir, "starling")
	if runtime.GOOS == "linux" {
		f, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Error("the program is not static")
			}
		}
	}
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		text, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		return string(text), err
	}
	if text, err := run("version"); err != nil || !strings.Contains(text, daemon.Version) {
		t.Errorf("version: %v, %s", err, text)
	}
	if !strings.Contains(read(t, filepath.Join(dir, "man/man1/starling.1")), ".TH") || !strings.Contains(read(t, filepath.Join(dir, "completions/starling.bash")), "complete") {
		t.Error("the man page or the completion is none")
	}

	named := regexp.MustCompile("starling ((?:[a-z]+ ?)+)((?:--[a-z-]+[^\n`;,).]*)?)")
	flag := regexp.MustCompile(`--[a-z-]+`)
	help := map[string]string{}
	check := func(file, text string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			verb := []string{words[0]}
			about, ok := help[words[0]]
			if !ok {
				about, _ = run(words[0], "--help")
				help[words[0]] = about
			}
			if !strings.Contains(about, "starling "+words[0]+" ") && !strings.Contains(about, "starling "+words[0]+"\n") {
				t.Errorf("%s names the command %q, which is none", file, m[0])
				continue
			}
			if len(words) > 1 && regexp.MustCompile(`(?m)^ +`+words[1]+` `).MatchString(about) {
				verb = append(verb, words[1])
				about, _ = run(append(verb, "--help")...)
			}
			for _, f := range flag.FindAllString(m[2], -1) {
				if !strings.Contains(about, f+" ") {
					t.Errorf("%s: %v has no flag %s", file, verb, f)
				}
			}
		}
	}
	check("systemd/starling.service", strings.ReplaceAll(read(t, "systemd/starling.service"), "/usr/local/bin/starling", "starling"))
	var a alerts
	load(t, "prometheus/alerts.yml", &a)
	for _, g := range a.Groups {
		for _, r := range g.Rules {
			for _, m := range regexp.MustCompile(`starling [a-z][^.;,):]*`).FindAllString(r.Annotations["action"], -1) {
				check("the alert "+r.Alert, m)
			}
		}
	}
	for _, line := range regexp.MustCompile(`(?m)(?:-- |^)starling [a-z].*$`).FindAllString(read(t, "README.md"), -1) {
		check("README.md", strings.TrimPrefix(line, "-- "))
	}
	var c compose
	load(t, "compose.yml", &c)
	check("compose.yml", "starling "+strings.Join(c.Services["init"].Command, " "))
	for _, s := range dockerfile(t, "Dockerfile") {
		for _, l := range s.lines {
			if l[0] == "CMD" || l[0] == "HEALTHCHECK" {
				check("Dockerfile", "starling "+strings.NewReplacer(`"/usr/bin/starling", `, "", `"`, "", ",", "", "[", "", "]", "").Replace(l[1][strings.IndexByte(l[1], '['):]))
			}
		}
	}
	if len(help) < 4 {
		t.Errorf("the files name %d commands only", len(help))
	}
}
