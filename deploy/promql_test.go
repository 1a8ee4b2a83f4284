package deploy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// token is one word of an expression of PromQL.
type token struct {
	kind byte // 'i' a name, 'n' a number or duration, 's' a text, or the character itself
	text string
}

// tokens cuts an expression into words. Operators of several characters come
// as single ones, which does no harm here.
func tokens(expr string) ([]token, error) {
	var out []token
	letter := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || c == '$'
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' || c == '.' }
	for i := 0; i < len(expr); {
		c := expr[i]
		switch {
		case c == ' ' || c == '\n' || c == '\t':
			i++
		case c == '"' || c == '\'' || c == '`':
			end := i + 1
			for end < len(expr) && expr[end] != c {
				if expr[end] == '\\' && c != '`' {
					end++
				}
				end++
			}
			if end >= len(expr) {
				return nil, fmt.Errorf("a text that does not end: %s", expr[i:])
			}
			out = append(out, token{'s', expr[i+1 : end]})
			i = end + 1
		case letter(c):
			end := i + 1
			for end < len(expr) && (letter(expr[end]) || digit(expr[end]) && expr[end] != '.') {
				end++
			}
			out = append(out, token{'i', expr[i:end]})
			i = end
		case digit(c):
			end := i + 1
			for end < len(expr) && (digit(expr[end]) || letter(expr[end])) {
				end++
			}
			out = append(out, token{'n', expr[i:end]})
			i = end
		case strings.IndexByte("(){}[],=!~<>+-*/%^@", c) >= 0:
			out = append(out, token{c, string(c)})
			i++
		default:
			return nil, fmt.Errorf("a character that is none of PromQL's: %q", c)
		}
	}
	return out, nil
}

// use is a metric in an expression, with the labels that are asked of it.
type use struct {
	metric string
	labels []string
}

// Words of PromQL: operators, clauses that a list of labels follows, and the
// functions that may be used here.
var (
	operators  = []string{"and", "or", "unless", "bool", "offset"}
	clauses    = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	aggregates = []string{"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"}
	functions  = []string{"rate", "irate", "increase", "histogram_quantile", "time", "abs", "changes", "delta", "max_over_time", "avg_over_time", "clamp_min", "clamp_max"}
)

// uses gives the metrics of an expression, and the labels of its clauses.
func uses(expr string) (metrics []use, labels []string, err error) {
	ts, err := tokens(expr)
	if err != nil {
		return nil, nil, err
	}
	at := func(i int) token {
		if i < len(ts) {
			return ts[i]
		}
		return token{}
	}
	var open []byte
	list := func(i int, closing byte) (names []string, next int, err error) { // of names up to closing
		for ; at(i).kind != closing; i++ {
			switch t := at(i); {
			case t.kind == 0:
				return nil, 0, fmt.Errorf("a list that does not end with %q", closing)
			case t.kind == 'i':
				names = append(names, t.text)
			}
		}
		return names, i + 1, nil
	}
	for i := 0; i < len(ts); {
		switch t := ts[i]; {
		case t.kind == '(':
			open = append(open, ')')
			i++
		case t.kind == '[':
			_, next, err := list(i+1, ']')
			if err != nil {
				return nil, nil, err
			}
			i = next
		case t.kind == ')':
			if len(open) == 0 {
				return nil, nil, fmt.Errorf("a bracket that was not opened")
			}
			open = open[:len(open)-1]
			i++
		case t.kind == '{' || t.kind == '}' || t.kind == ']':
			return nil, nil, fmt.Errorf("%q belongs to no metric", t.text)
		case t.kind == 'i' && slices.Contains(clauses, t.text):
			if at(i+1).kind != '(' {
				return nil, nil, fmt.Errorf("no list behind %q", t.text)
			}
			names, next, err := list(i+2, ')')
			if err != nil {
				return nil, nil, err
			}
			labels = append(labels, names...)
			i = next
		case t.kind == 'i' && at(i+1).kind == '(' || t.kind == 'i' && slices.Contains(aggregates, t.text):
			if !slices.Contains(functions, t.text) && !slices.Contains(aggregates, t.text) {
				return nil, nil, fmt.Errorf("no function %q is known here", t.text)
			}
			i++
		case t.kind == 'i' && slices.Contains(operators, t.text):
			i++
		case t.kind == 'i':
			u := use{metric: t.text}
			i++
			if at(i).kind == '{' {
				var names []string
				for i++; at(i).kind != '}'; {
					if at(i).kind != 'i' || at(i+1).kind == 0 {
						return nil, nil, fmt.Errorf("%s: a matcher begins with %q, want a label", u.metric, at(i).text)
					}
					names = append(names, at(i).text)
					for i++; at(i).kind == '=' || at(i).kind == '!' || at(i).kind == '~'; i++ {
					}
					if at(i).kind != 's' {
						return nil, nil, fmt.Errorf("%s: the label %s is compared with %q, want a text", u.metric, names[len(names)-1], at(i).text)
					}
					if i++; at(i).kind == ',' {
						i++
					}
				}
				u.labels = names
				i++
			}
			metrics = append(metrics, u)
		default:
			i++
		}
	}
	if len(open) > 0 {
		return nil, nil, fmt.Errorf("a bracket that is not closed")
	}
	return metrics, labels, nil
}

func TestUsesFindsTheMetricsOfAnExpression(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{`up`, "up[]"},
		{`sum by (a, b) (rate(x_total{c="d", e=~"f|g"}[5m])) > 0.5`, "x_total[c e] a b"},
		{`histogram_quantile(0.9, sum by (le) (rate(x_bucket[$__rate_interval])))`, "x_bucket[] le"},
		{`time() - x > 1e3 and on (i) y{} unless z offset 5m`, "x[] y[] z[] i"},
		{`a{t="} by (x)"} / b * 2`, "a[t] b[]"},
		{`max without(i)(x) or vector_of_mine`, "x[] vector_of_mine[] i"},
	} {
		ms, labels, err := uses(tt.expr)
		if err != nil {
			t.Errorf("%s: %v", tt.expr, err)
			continue
		}
		var got []string
		for _, m := range ms {
			got = append(got, fmt.Sprint(m.metric, m.labels))
		}
		if text := strings.Join(append(got, labels...), " "); text != tt.want {
			t.Errorf("%s: %q, want %q", tt.expr, text, tt.want)
		}
	}
	for _, bad := range []string{`rate(x`, `x)`, `x{a=b}`, `x{"a"}`, `sum by a (x)`, `nosuch(x)`, `x{a="b`, `x[5m`, `{a="b"}`, `x ; y`, `x{a="b"`, `sum by (a`} {
		if ms, _, err := uses(bad); err == nil {
			t.Errorf("%s passed: %v", bad, ms)
		}
	}
}
