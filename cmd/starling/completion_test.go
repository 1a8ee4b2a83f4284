package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The script for bash completes in a bash that has nothing but itself, as in
// most containers.
func TestBashCompletesWithoutHelp(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Logf("unproven here: this machine has no bash: %v", err)
		return
	}
	dir := t.TempDir()
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "starling")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, bash, "--norc", "--noprofile", "-c", `
source <(starling completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); __starling_bash_autocomplete; echo "${COMPREPLY[@]}"; }
try starling sta
try starling config ""
try starling run --max
try starling run --discovery.
try starling run --cach`)
	cmd.Env = append(os.Environ(), asProgram+"=1", "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if want := "status\ndump check docs flags\n--max-peers --maxpeers --maxpendpeers\n--discovery.port --discovery.v4 --discovery.v5 --discovery.dns\n\n"; err != nil || string(out) != want {
		t.Errorf("bash says %q, %v, want %q", out, err, want)
	}
}
