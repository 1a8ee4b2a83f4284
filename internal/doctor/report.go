package doctor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/starlingp2p/starling/peer"
)

// Version is that of a Report's encoding. Fields are added, never renamed.
const Version = 1

// Level is how a check ended.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Result is what one check found.
type Result struct {
	Check  string `json:"check"` // a fixed word
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Report is all of them: what failed first, and of equal levels the cause
// before what comes of it.
type Report struct {
	V       int      `json:"v"`
	Results []Result `json:"results"`
}

// The checks, in the order in which one is the cause of the next.
const (
	CheckConfig       = "config"
	CheckDatadir      = "datadir"
	CheckDisk         = "disk"
	CheckLock         = "lock"
	CheckKeys         = "keys"
	CheckFiles        = "open-files"
	CheckClock        = "clock"
	CheckPorts        = "ports"
	CheckAdvertise    = "advertise"
	CheckReachability = "reachability"
	CheckDNS          = "dns"
	CheckPeers        = "peers"
)

func order() []string {
	return []string{
		CheckConfig, CheckDisk, CheckDatadir, CheckLock, CheckKeys, CheckFiles, CheckClock, CheckPorts, CheckAdvertise, CheckDNS, CheckPeers, CheckReachability,
	}
}

// Failed reports whether anything failed.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Results, func(x Result) bool { return x.Level == Fail })
}

// Of makes a report of results.
func Of(results ...Result) Report {
	rank := map[Level]int{Fail: 0, Warn: 1, OK: 2}
	place := map[string]int{}
	for i, c := range order() {
		place[c] = i
	}
	for i := range results {
		results[i].Detail, results[i].Remedy = line(results[i].Detail), line(results[i].Remedy)
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(cmp.Compare(rank[a.Level], rank[b.Level]), cmp.Compare(place[a.Check], place[b.Check]))
	})
	if results == nil {
		results = []Result{}
	}
	return Report{V: Version, Results: results}
}

// line makes a text one line without control characters, of 1 KiB at most.
func line(s string) string {
	var b strings.Builder
	for len(s) > 0 && b.Len() < 1<<10 {
		n := min(len(s), peer.MaxText)
		for n < len(s) && n > peer.MaxText-4 && s[n]&0xc0 == 0x80 {
			n-- // not in the middle of a rune
		}
		b.WriteString(peer.Clean(s[:n]))
		s = s[n:]
	}
	return b.String()
}

// Write prints the report for people.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	for _, x := range r.Results {
		fmt.Fprintf(&b, "%-4s  %-12s  %s\n", x.Level, x.Check, x.Detail)
		if x.Remedy != "" && x.Level != OK {
			fmt.Fprintf(&b, "      %-12s  do: %s\n", "", x.Remedy)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
