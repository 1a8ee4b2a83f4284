package why

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Version is that of a Report's encoding. Fields are added, never renamed.
const Version = 1

// NodeSubject is the subject of what is about the node itself.
const NodeSubject = "node"

// Report answers why. Findings are ranked: the true cause comes first.
type Report struct {
	V       int       `json:"v"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"` // "node", or the peer asked about
	// Summary is one line: the first finding's cause, or that all is well.
	Summary   string     `json:"summary"`
	Findings  []Finding  `json:"findings"`
	Counts    []Count    `json:"counts"`
	Decisions []Decision `json:"decisions"` // the last, newest first
	Tried     *Tried     `json:"tried,omitempty"`
	// Source says what the answer is made of, where that is no running node.
	Source string `json:"source,omitempty"`
}

// Levels of a Finding.
const (
	Trouble = "trouble" // something does not work
	Notice  = "notice"  // something that one should know
)

// Finding is one answer.
type Finding struct {
	Code     string    `json:"code"`  // a fixed word
	Level    string    `json:"level"` // Trouble or Notice
	Subject  string    `json:"subject"`
	Cause    string    `json:"cause"`
	Since    time.Time `json:"since,omitzero"`
	Count    uint64    `json:"count,omitempty"`
	Evidence []string  `json:"evidence"`
	Remedy   string    `json:"remedy"`

	rank   int // the highest comes first
	others int // peers beside the subject that it is true of
}

// Count is how often something had one reason, in the last minute, ten minutes
// and hour, and since the start.
type Count struct {
	Kind       string `json:"kind"` // "not-dialled", "dial-failed", "refused", "dropped", "banned", "charged", "publish", "stuck"
	Reason     string `json:"reason"`
	ByRemote   bool   `json:"by_remote,omitempty"`
	Minute     uint64 `json:"minute"`
	TenMinutes uint64 `json:"ten_minutes"`
	Hour       uint64 `json:"hour"`
	Total      uint64 `json:"total"`
}

// Decision is one decision about a peer.
type Decision struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	Reason   string    `json:"reason"`
	Peer     string    `json:"peer,omitempty"`
	Addr     string    `json:"addr,omitempty"`
	ByRemote bool      `json:"by_remote,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}

// Tried says what the node has tried to find peers.
type Tried struct {
	Configured []TriedAddr    `json:"configured"`
	Listens    bool           `json:"listens"`
	Dials      bool           `json:"dials"`
	Discovers  bool           `json:"discovers"`
	Knocks     uint64         `json:"knocks"`   // inbound links that began
	Admitted   uint64         `json:"admitted"` // and those that became sessions
	Rounds     uint64         `json:"rounds"`   // of discovery
	Found      uint64         `json:"found"`    // addresses that were told
	Taken      uint64         `json:"taken"`    // and those that were worth keeping
	NotTaken   map[string]int `json:"not_taken,omitempty"`
	Book       int            `json:"book"`   // addresses known
	Proven     int            `json:"proven"` // those with which a session was open once
	Waiting    map[string]int `json:"waiting,omitempty"`
	NextDial   time.Time      `json:"next_dial,omitzero"`
	Sessions   int            `json:"sessions"`
}

// TriedAddr is a configured address and what came of it.
type TriedAddr struct {
	Addr      string    `json:"addr"`
	Peer      string    `json:"peer,omitempty"`
	List      string    `json:"list"` // "static", "trusted", "seed"
	Connected bool      `json:"connected"`
	Tries     int       `json:"tries"`
	Result    string    `json:"result"` // "connected", "not tried yet", or a reason
	ByRemote  bool      `json:"by_remote,omitempty"`
	Detail    string    `json:"detail,omitempty"`
	Next      time.Time `json:"next,omitzero"`
}

// lines that are shown of a list.
const shown = 10

// Write prints the report for people. Texts of remotes were cleaned where they
// entered.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Summary)
	if r.Source != "" {
		fmt.Fprintf(&b, "(%s)\n", r.Source)
	}
	for i, f := range r.Findings {
		fmt.Fprintf(&b, "\n%d. [%s] %s", i+1, f.Level, f.Cause)
		if f.Count > 1 {
			fmt.Fprintf(&b, " (%d times)", f.Count)
		}
		if !f.Since.IsZero() {
			fmt.Fprintf(&b, ", since %s", f.Since.Local().Format(time.TimeOnly))
		}
		b.WriteByte('\n')
		for _, e := range f.Evidence {
			fmt.Fprintf(&b, "   - %s\n", e)
		}
		if f.Remedy != "" {
			fmt.Fprintf(&b, "   do: %s\n", f.Remedy)
		}
	}
	r.Tried.write(&b)
	if len(r.Counts) > 0 {
		fmt.Fprintf(&b, "\n%-12s %-24s %-7s %7s %7s %7s %7s\n", "COUNTS", "REASON", "SIDE", "1 MIN", "10 MIN", "1 H", "START")
		for _, c := range r.Counts {
			fmt.Fprintf(&b, "%-12s %-24s %-7s %7d %7d %7d %7d\n", c.Kind, c.Reason, side(c.ByRemote), c.Minute, c.TenMinutes, c.Hour, c.Total)
		}
	}
	if len(r.Decisions) > 0 {
		fmt.Fprintf(&b, "\nLAST DECISIONS\n")
		for _, d := range r.Decisions[:min(len(r.Decisions), shown)] {
			fmt.Fprintf(&b, "%s  %-12s %-22s %-7s %s", d.Time.Local().Format(time.TimeOnly), d.Kind, d.Reason, side(d.ByRemote), first(d.Addr, d.Peer))
			if d.Detail != "" {
				fmt.Fprintf(&b, "  %q", d.Detail)
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Tried) write(b *strings.Builder) {
	if t == nil {
		return
	}
	fmt.Fprintf(b, "\nTRIED\n")
	for _, a := range t.Configured[:min(len(t.Configured), shown)] {
		fmt.Fprintf(b, "%-7s %s: %d tries, %s", a.List, a.Addr, a.Tries, a.Result)
		if a.Detail != "" {
			fmt.Fprintf(b, " (%q)", a.Detail)
		}
		b.WriteByte('\n')
	}
	if more := len(t.Configured) - shown; more > 0 {
		fmt.Fprintf(b, "and %d more configured addresses\n", more)
	}
	fmt.Fprintf(b, "book    %d addresses, %d of them proven%s\n", t.Book, t.Proven, listing(t.Waiting))
	if t.Discovers {
		fmt.Fprintf(b, "found   %d addresses in %d rounds of discovery, %d were taken%s\n", t.Found, t.Rounds, t.Taken, listing(t.NotTaken))
	} else {
		fmt.Fprintf(b, "found   discovery is off\n")
	}
	if t.Listens {
		fmt.Fprintf(b, "inbound %d links began, %d became sessions\n", t.Knocks, t.Admitted)
	} else {
		fmt.Fprintf(b, "inbound listening is off\n")
	}
}

func listing(m map[string]int) string {
	var out []string
	for _, k := range sorted(m) {
		out = append(out, fmt.Sprintf("%d %s", m[k], k))
	}
	if out == nil {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

func side(byRemote bool) string {
	if byRemote {
		return "remote"
	}
	return "us"
}

// first gives the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
