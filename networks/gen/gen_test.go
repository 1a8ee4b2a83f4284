package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// committed are the presets as they are in the repository.
func committed(t *testing.T) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "presets", "*"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = text
	}
	return files
}

// The presets say which modules they were made from, and those are the ones
// that a new run would read.
func TestPresetsNameTheModulesThatTheyWereMadeFrom(t *testing.T) {
	known := map[string]bool{}
	for _, m := range []module{opGeth, opGethBase, optimism, goEthereum, coreGeth, ontioOnt} {
		known[m.String()] = true
	}
	used := map[string]bool{}
	for name, text := range committed(t) {
		if !strings.HasSuffix(name, ".toml") {
			continue
		}
		head, _, _ := strings.Cut(string(text), "config_version")
		from := 0
		for line := range strings.Lines(head) {
			source, ok := strings.CutPrefix(line, "#   ")
			if !ok {
				continue
			}
			m, _, _ := strings.Cut(source, ":")
			if !known[m] {
				t.Errorf("%s is made from %q, which modules.go does not name; run \"go run .\" in networks/gen", name, m)
			}
			used[m] = true
			from++
		}
		if from == 0 {
			t.Errorf("%s does not say what it is made from", name)
		}
	}
	for m := range known {
		if !used[m] {
			t.Errorf("no preset is made from %s; run \"go run .\" in networks/gen", m)
		}
	}
}

// The long form makes all presets again, from modules of some hundred MB; the
// short one those whose module this one links.
func TestPresetsAreWhatTheGeneratorMakes(t *testing.T) {
	want := map[string][]byte{}
	err := ethereum(want)
	if !testing.Short() {
		want, err = generate()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := committed(t)
	for name := range got {
		if want[name] == nil && !testing.Short() {
			t.Errorf("%s is made by nobody", name)
		}
	}
	for name, text := range want {
		if !bytes.Equal(got[name], text) {
			t.Errorf("%s is not what the generator makes; run \"go run .\" in networks/gen", name)
		}
	}
}

// A source that contradicts another is found, and so is one with a hole.
func TestForkTimesOfTwoSourcesAreCompared(t *testing.T) {
	for _, c := range []struct {
		have, other map[string]uint64
		want        uint64 // of karst; 0: an error
	}{
		{map[string]uint64{"jovian": 5}, map[string]uint64{"jovian": 5, "karst": 7}, 7},
		{map[string]uint64{"jovian": 5, "karst": 7}, map[string]uint64{"jovian": 5}, 7},
		{map[string]uint64{"jovian": 5}, map[string]uint64{"jovian": 6, "karst": 7}, 0},
		{map[string]uint64{"karst": 7}, map[string]uint64{"jovian": 6, "karst": 7}, 0},
	} {
		err := later(c.have, c.other)
		if (err != nil) != (c.want == 0) || err == nil && c.have["karst"] != c.want {
			t.Errorf("later = %v, karst at %d, want %d", err, c.have["karst"], c.want)
		}
	}
}
