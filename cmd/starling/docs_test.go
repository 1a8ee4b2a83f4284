package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

// The reference pages are what the program says of itself.
func TestReferencePagesAreUpToDate(t *testing.T) {
	for name, want := range map[string]string{"cli.md": cliPage(), "config.md": configPage()} {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		if err != nil || string(got) != want {
			t.Errorf("docs/%s is not what the program says; run: go generate ./cmd/starling (%v)", name, err)
		}
	}
}

// Each key says what it takes and means, and a default is one line of words.
func TestThePageOfTheConfigIsWhole(t *testing.T) {
	for _, d := range daemon.Docs() {
		if d.Kind == "" || d.Meaning == "" {
			t.Errorf("%s: kind %q, meaning %q; want both", d.Key, d.Kind, d.Meaning)
		}
	}
	for _, tt := range []struct{ in, want string }{{"a,b", "a, b"}, {"a, or b", "a, or b"}, {"", ""}} {
		if got := spaced(tt.in); got != tt.want {
			t.Errorf("spaced(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// A man page names every verb.
func TestTheManPageNamesEveryVerb(t *testing.T) {
	text, err := manPage()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range command(io.Discard, io.Discard).Commands {
		if !c.Hidden && !strings.Contains(text, c.Name) {
			t.Errorf("the man page does not name %s", c.Name)
		}
	}
	if home, err := os.UserHomeDir(); err == nil && strings.Contains(text+cliPage()+configPage(), home) {
		t.Error("a page names the folder of whoever made it")
	}
}

// The help of run stays short: at most 15 flags, the help flag among them.
func TestRunHasFewFlags(t *testing.T) {
	for _, c := range command(io.Discard, io.Discard).Commands {
		if c.Name == "run" && len(c.VisibleFlags())+1 > 15 {
			t.Errorf("run has %d flags and --help, want at most 15", len(c.VisibleFlags()))
		}
	}
}

// Every verb says what it is for, and none has two flags of one name.
func TestEveryVerbIsDescribed(t *testing.T) {
	var look func(above string, cs []*cli.Command)
	look = func(above string, cs []*cli.Command) {
		for _, c := range cs {
			name := above + " " + c.Name
			if c.Usage == "" || strings.HasSuffix(c.Usage, ".") {
				t.Errorf("%s: its usage is %q", name, c.Usage)
			}
			if c.Category == "" && above == "starling" && !c.Hidden {
				t.Errorf("%s is of no category", name)
			}
			look(name, c.Commands)
		}
	}
	look("starling", command(io.Discard, io.Discard).Commands)
}
