package networks

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
)

func TestEveryPresetIsListedAndFound(t *testing.T) {
	there, err := fs.Glob(files, "presets/*.toml")
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != len(order) {
		t.Errorf("%d presets are listed, and there are %d files", len(order), len(there))
	}
	titles := map[string]bool{}
	for _, name := range Names() {
		p, err := Find(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if p.Name != name || p.Title == "" || titles[p.Title] || p.About == "" || len(p.Sources) == 0 {
			t.Errorf("preset %q = title %q, about %q, sources %q; want each, and a title of its own", name, p.Title, p.About, p.Sources)
		}
		titles[p.Title] = true
		if want := strings.Contains(string(p.Config), `wire = "devp2p"`); (p.Genesis != nil) != want {
			t.Errorf("preset %q has a genesis file: %v, want %v", name, p.Genesis != nil, want)
		}
	}
}

func TestAnUnknownPresetIsToldWhichAreKnown(t *testing.T) {
	for _, name := range []string{"", "mainnet", "op-mainnet.toml", "../networks", strings.Repeat("x", 1<<20)} {
		_, err := Find(name)
		if err == nil {
			t.Fatalf("Find(%.40q) found something", name)
		}
		if text := err.Error(); !strings.Contains(text, "op-mainnet, op-sepolia") || len(text) > 500 {
			t.Errorf("Find(%.40q) = %.600s", name, text)
		}
	}
}

func TestNamesAreACopy(t *testing.T) {
	Names()[0] = "x"
	if !slices.Equal(Names(), order) {
		t.Error("a caller changed the names of the presets")
	}
}
