package daemon

import (
	"os"
	"strings"
	"testing"
)

// keepSection compares what a document has between two marks, <!-- NAME --> and
// <!-- end of NAME -->, with what it should have. With -update it writes it.
func keepSection(t *testing.T, path, name, want string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	head, rest, ok := strings.Cut(string(raw), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the %s", path, name)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != want {
		t.Errorf("the table of %s in %s is not what the program has; write it anew: go test ./internal/daemon -run Document -update", name, path)
	}
}
