package troubles

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Row is a row of the table: a trouble, the verb that names it, the first
// finding's code and text, what to do, and the test that stages it.
type Row struct {
	Trouble, Verb, Code, Says, Do, Test string
}

// Path is the document.
func Path(root string) string { return filepath.Join(root, "docs", "troubles.md") }

// Update is the environment variable that has Check write rows instead.
const Update = "STARLING_UPDATE_TROUBLES"

// Check compares a row with the document, under the repository's root. What
// varies from run to run is left out of the comparison.
func Check(root string, got Row) error {
	got.Says, got.Do = Plain(got.Says), places.ReplaceAllString(got.Do, "…")
	raw, err := os.ReadFile(Path(root))
	if err != nil {
		return err
	}
	rows, from, to, err := Parse(string(raw))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Trouble == got.Trouble })
	if i >= 0 && rows[i] == got {
		return nil
	}
	if os.Getenv(Update) == "" {
		if i < 0 {
			return fmt.Errorf("%s has no row %q; want\n%s\nwith %s=1 it is written", Path(root), got.Trouble, got, Update)
		}
		return fmt.Errorf("%s says of %q\n%s, and it is\n%s\nwith %s=1 it is written", Path(root), got.Trouble, rows[i], got, Update)
	}
	if i < 0 {
		rows = append(rows, got)
	} else {
		rows[i] = got
	}
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r.String() + "\n")
	}
	return os.WriteFile(Path(root), []byte(string(raw[:from])+b.String()+string(raw[to:])), 0o644)
}

// places are what depends on where and when a test runs: addresses, folders,
// identities, times.
var places = regexp.MustCompile(`(?:/(?:ip4|ip6|dns|dns4|dns6)/\S+|\b\d+\.\d+\.\d+\.\d+(?::\d+)?\b|/[\w.+-]+(?:/[\w.+-]+)+|\b12D3Koo\w+\b|\b0x[0-9a-f]+\b|\b\d{4}-\d\d-\d\dT[0-9:.]+Z\b|\b(?:\d+(?:\.\d+)?(?:h|m|s|ms))+\b)`)

var numbers = regexp.MustCompile(`\d+`)

// Plain is a text without what varies.
func Plain(s string) string {
	return numbers.ReplaceAllString(places.ReplaceAllString(s, "…"), "N")
}

// String is the row in Markdown.
func (r Row) String() string {
	esc := strings.NewReplacer("|", `\|`, "\n", " ")
	return fmt.Sprintf("| %s | `%s` | `%s` | %s | %s | `%s` |", r.Trouble, r.Verb, r.Code, esc.Replace(r.Says), esc.Replace(r.Do), r.Test)
}

// head is the table's.
const head = "| trouble | verb | code | it says first | what to do | staged by |\n|---|---|---|---|---|---|\n"

// Parse reads the rows out of the document, and where they stand.
func Parse(doc string) (rows []Row, from, to int, err error) {
	from = strings.Index(doc, head)
	if from < 0 {
		return nil, 0, 0, fmt.Errorf("troubles: the document has no table that begins with %q", head)
	}
	from += len(head)
	for to = from; strings.HasPrefix(doc[to:], "| "); {
		line, _, _ := strings.Cut(doc[to:], "\n")
		to += len(line) + 1
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) != 8 {
			return nil, 0, 0, fmt.Errorf("troubles: a row of %d cells, want 6: %s", len(cells)-2, line)
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|")), "`")
		}
		rows = append(rows, Row{cells[1], cells[2], cells[3], cells[4], cells[5], cells[6]})
	}
	return rows, from, to, nil
}
