package daemon

import (
	"os"
	"regexp"
	"testing"
)

// What the README and docs/networks.md show is taken as it stands.
func TestTheNetworksOfTheDocsAreTaken(t *testing.T) {
	var page []byte
	for _, path := range []string{"../../README.md", "../../docs/networks.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page = append(page, text...)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(page, -1)
	seen := map[string]bool{}
	for _, b := range blocks {
		cfg, err := ParseConfig(b[1])
		if err != nil {
			t.Errorf("%v in\n%s", err, b[1])
			continue
		}
		seen[cfg.Networks[0].Wire] = true
	}
	for _, name := range WireNames()[1:] {
		if !seen[name] {
			t.Errorf("no config shows the wire %q", name)
		}
	}
}
