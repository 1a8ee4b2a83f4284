package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/internal/rpc"
)

var update = flag.Bool("update", false, "write the table of methods in docs/rpc.md")

const rpcDoc = "../../docs/rpc.md"

// example is a command of the document, and the answer that stands below it.
type example struct{ command, answer string }

// fences are the blocks of code of a document, with their language.
var fences = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

func examples(text string) (out []example) {
	for _, m := range fences.FindAllStringSubmatch(text, -1) {
		switch {
		case m[1] == "sh":
			out = append(out, example{command: strings.TrimSpace(m[2])})
		case m[1] == "json" && len(out) > 0:
			out[len(out)-1].answer = m[2]
		}
	}
	return out
}

// Each command in docs/rpc.md does what it says, on a node that has just been
// made: with curl where there is one, and with the same command line replayed
// by net/http.
func TestTheExamplesInTheDocumentRun(t *testing.T) {
	text, err := os.ReadFile(rpcDoc)
	if err != nil {
		t.Fatal(err)
	}
	n := serveNode(t, newConfig(t))
	notes, err := n.dial(t).Subscribe(inTime(t), "starling", "heads")
	if err != nil {
		t.Fatal(err)
	}
	var head HeadEvent // the examples ask for the first block
	if err := notes.Next(inTime(t), &head); err != nil {
		t.Fatal(err)
	}
	_, missing := exec.LookPath("curl")
	all := examples(string(text))
	if len(all) < 15 {
		t.Fatalf("%d examples", len(all))
	}
	here := func(ex example) string { return strings.ReplaceAll(ex.command, "http://127.0.0.1:7701", n.ready.RPC) }
	for _, ex := range all {
		answer, err := replay(t, here(ex), n.dir)
		check(t, "net/http", ex, answer, err)
	}
	if missing == nil {
		for _, ex := range all {
			cmd := exec.CommandContext(inTime(t), "sh", "-c", here(ex))
			cmd.Env = append(os.Environ(), "DATADIR="+n.dir, "no_proxy=*", "HOME="+n.dir)
			answer, err := cmd.Output()
			check(t, "curl", ex, answer, err)
		}
	}
}

// check compares an answer with the one in the document, in its form: the same
// keys with values of the same type.
func check(t *testing.T, by string, ex example, answer []byte, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %s: %v", by, ex.command, err)
		return
	}
	if strings.Contains(ex.command, "/events") {
		if !bytes.Contains(answer, []byte("id: ")) || !bytes.Contains(answer, []byte("event: ")) || !bytes.Contains(answer, []byte("data: {")) {
			t.Errorf("%s: %s gave %.300s, want an event", by, ex.command, answer)
		}
		return
	}
	var got, want any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Errorf("%s: %s gave %.300s: %v", by, ex.command, answer, err)
		return
	}
	if m, ok := got.(map[string]any); ok && m["result"] == nil {
		t.Errorf("%s: %s gave %.300s", by, ex.command, answer)
	}
	if ex.answer == "" {
		return
	}
	if err := json.Unmarshal([]byte(ex.answer), &want); err != nil {
		t.Fatalf("the answer of %s in the document is no JSON: %v", ex.command, err)
	}
	if g, w := form(got), form(want); g != w {
		t.Errorf("%s: %s gave\n%s, which has the form\n%s, want\n%s", by, ex.command, answer, g, w)
	}
}

// form is a JSON value without its values: of an array, that of its first item.
func form(v any) string {
	switch v := v.(type) {
	case map[string]any:
		fields := map[string]string{}
		for k, x := range v {
			fields[k] = form(x)
		}
		return fmt.Sprint(fields) // by key
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + form(v[0]) + "]"
	}
	return fmt.Sprintf("%T", v)
}

// replay carries a command line of curl out, as far as the document uses it.
func replay(t *testing.T, command, dir string) ([]byte, error) {
	t.Helper()
	command, lines, limited := strings.Cut(command, " | head -n ")
	if token := "$(cat $DATADIR/keys/rpc.token)"; strings.Contains(command, token) {
		raw, err := os.ReadFile(filepath.Join(dir, "keys", "rpc.token"))
		if err != nil {
			return nil, err
		}
		command = strings.ReplaceAll(command, token, strings.TrimSpace(string(raw)))
	}
	words := split(strings.ReplaceAll(command, "$DATADIR", dir))
	if len(words) == 0 || words[0] != "curl" {
		return nil, fmt.Errorf("it is no command of curl: %q", words)
	}
	method, url, data := http.MethodGet, "", ""
	header, transport := http.Header{}, &http.Transport{DisableKeepAlives: true}
	for words = words[1:]; len(words) > 0; words = words[1:] {
		value := func() (v string) {
			if words = words[1:]; len(words) > 0 {
				v = words[0]
			}
			return v
		}
		switch words[0] {
		case "-s", "-sN":
		case "-H":
			key, v, _ := strings.Cut(value(), ": ")
			header.Set(key, v)
		case "-d":
			method, data = http.MethodPost, value()
		case "--unix-socket":
			path := value()
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}
		default:
			if strings.HasPrefix(words[0], "-") {
				return nil, fmt.Errorf("an option that nobody replays: %s", words[0])
			}
			url = words[0]
		}
	}
	req, err := http.NewRequestWithContext(inTime(t), method, url, strings.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header = header
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", res.Status)
	}
	if !limited {
		return io.ReadAll(res.Body)
	}
	most, err := strconv.Atoi(strings.TrimSpace(lines))
	if err != nil {
		return nil, err
	}
	var out []byte
	for one := make([]byte, 1); bytes.Count(out, []byte("\n")) < most; {
		if _, err := io.ReadFull(res.Body, one); err != nil {
			return nil, err
		}
		out = append(out, one[0])
	}
	return out, nil
}

// split cuts a command line into words, as a shell does with quotes.
func split(line string) (words []string) {
	var (
		word  strings.Builder
		quote rune
		open  bool
	)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && (r == ' ' || r == '\n'):
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if open {
		words = append(words, word.String())
	}
	return words
}

// The table of methods in docs/rpc.md is made of what rpc.discover tells. To
// write it anew: go test ./internal/daemon -run Document -update.
func TestTheDocumentHasEveryMethod(t *testing.T) {
	n := serveNode(t, newConfig(t))
	var doc rpc.Document
	if err := n.dial(t).Call(inTime(t), "rpc.discover", &doc); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| method | parameters | what it does | authority |\n|---|---|---|---|\n")
	for _, m := range doc.Methods {
		var params []string
		for _, p := range m.Params {
			text := fmt.Sprintf("`%s`: %s", p.Name, p.Description)
			if !p.Required {
				text = fmt.Sprintf("[`%s`]: %s", p.Name, p.Description)
			}
			params = append(params, text)
		}
		authority := ""
		if m.Authority {
			authority = "yes"
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |", m.Name, strings.Join(params, "<br>"), m.Summary, authority)
		table.WriteString(strings.ReplaceAll(row, "  ", " ") + "\n")
	}
	table.WriteByte('\n')
	keepSection(t, rpcDoc, "methods", table.String())
}
