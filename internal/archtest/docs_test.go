package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents gives the text of every Markdown file, by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != root && (name == "testdata" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".md") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		docs[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// source is a fence that comes out of a file: "<!-- from FILE#REGION -->"
// before it. Without a region it is the whole file.
var source = regexp.MustCompile("(?m)^<!-- from ([^ #]+)(?:#([^ ]+))? -->\n+```[a-z]*\n((?s:.*?))^```$")

// region cuts the part of a file that follows the line "// region: NAME", up
// to the next such line or the end. No name: the whole file.
func region(text, name string) (string, error) {
	if name == "" {
		return text, nil
	}
	_, rest, ok := strings.Cut("\n"+text, "\n// region: "+name+"\n")
	if !ok {
		return "", fmt.Errorf("no line %q", "// region: "+name)
	}
	rest, _, _ = strings.Cut(rest, "\n// region: ")
	return rest, nil
}

func TestCodeInDocumentsIsCompiledCode(t *testing.T) {
	for doc, text := range documents(t) {
		marked := strings.Count(text, "\n<!-- from ")
		found := source.FindAllStringSubmatch(text, -1)
		if len(found) != marked {
			t.Errorf("%s: %d marks say where code is from, %d have a fence behind them", doc, marked, len(found))
		}
		for _, m := range found {
			from, name, got := m[1], m[2], strings.TrimSpace(m[3])
			file, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(from)))
			if err != nil {
				t.Errorf("%s: %v", doc, err)
				continue
			}
			want, err := region(string(file), name)
			if err != nil {
				t.Errorf("%s: %s: %v", doc, from, err)
				continue
			}
			if want = strings.TrimSpace(want); got != want {
				t.Errorf("%s: the code from %s#%s is not what stands there; want\n%s", doc, from, name, want)
			}
		}
	}
}

// link is a Markdown link.
var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)\s]*)?\)`)

func TestLinksInDocumentsLead(t *testing.T) {
	for doc, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(path.Join(path.Dir(doc), m[1])))); err != nil {
				t.Errorf("%s: a link leads nowhere: %s", doc, m[1])
			}
		}
	}
}

// record is the form of a decision: its number and title, that it counts, and
// its three parts.
var record = regexp.MustCompile(`^# (\d+)\. (.+)\n\nStatus: (?:proposed|accepted|replaced by \d+)\.\n\n## Context\n(?s:.+)\n## Decision\n(?s:.+)\n## Consequences\n`)

func TestDecisionsAreListedAndHaveOneForm(t *testing.T) {
	docs, names := documents(t), []string{}
	for name := range docs {
		if strings.HasPrefix(name, "docs/adr/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatal("no decision is recorded")
	}
	for i, name := range names {
		m := record.FindStringSubmatch(docs[name])
		if m == nil {
			t.Errorf("%s has not the form that %s gives", name, names[0])
			continue
		}
		file := path.Base(name)
		if want := fmt.Sprintf("%04d-", i+1); !strings.HasPrefix(file, want) || m[1] != fmt.Sprint(i+1) {
			t.Errorf("%s is number %s, want %d in its name and its title", name, m[1], i+1)
		}
		if row := fmt.Sprintf("\n| [%d](%s) | %s |\n", i+1, file, m[2]); !strings.Contains(docs[names[0]], row) {
			t.Errorf("%s does not list %s: want the row %q", names[0], file, strings.TrimSpace(row))
		}
	}
}
