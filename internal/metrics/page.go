package metrics

import (
	"fmt"
	"strings"
)

// Page is docs/metrics.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, f := range Families() {
		labels := "-"
		if len(f.Labels) > 0 {
			labels = "`" + strings.Join(f.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Kind, labels, f.Help)
	}
	b.WriteString(pageEnd)
	return b.String()
}

const pageHead = `# Metrics

<!-- Made by internal/metrics; write it anew with: go test ./internal/metrics -update -->

` + "`/metrics`" + ` serves these in the text format of Prometheus, on the address of the RPC. Times are in seconds, sizes in
bytes; names that end in ` + "`_total`" + ` only grow. Label values come from fixed sets: no identity, no address and no word of a peer
is ever one, and each set is bounded. A scrape waits for nothing that the node does.

| name | type | labels | what it tells |
|---|---|---|---|
`

const pageEnd = `
Beside these there are the Go runtime's (` + "`go_*`" + `) and the process's (` + "`process_*`" + `), as the Prometheus client library
defines them.

A dashboard for Grafana is in ` + "`deploy/grafana`" + `, alert rules are in ` + "`deploy/prometheus`" + `; a test holds each of their expressions
against this table.
`
