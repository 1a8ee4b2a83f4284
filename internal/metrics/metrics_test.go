package metrics

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

func spreadOf(d time.Duration) starling.Distribution {
	return starling.Distribution{Bounds: []time.Duration{time.Millisecond, time.Second}, Counts: []uint64{1, 2, 3}, Sum: d}
}

// full is a snapshot in which every family has a value, with text in each place
// that could hold one.
func full(text string) Snapshot {
	return Snapshot{
		Counters: starling.Counters{
			Dials:   map[starling.Outcome]uint64{{Result: "failed", Reason: peer.Reason(text)}: 1},
			Accepts: map[starling.Outcome]uint64{{Result: text}: 1},
			Closes:  map[starling.Close]uint64{{Reason: peer.Reason(text), ByRemote: true}: 1, {Reason: peer.Banned}: 2},
			Charges: map[peer.Offense]uint64{peer.Offense(text): 1}, Bans: map[string]uint64{text: 1},
			Verdicts:   map[starling.VerdictKey]uint64{{Message: "app", Action: "ignore", Reason: text}: 1},
			Traffic:    map[wire.TrafficKey]wire.Traffic{{Protocol: text, Type: text, Inbound: true}: {Messages: 3, Bytes: 300}, {Protocol: "gossip", Type: "block"}: {Messages: 1, Bytes: 9}},
			Handshakes: map[peer.Direction]starling.Distribution{peer.Inbound: spreadOf(time.Second), peer.Outbound: spreadOf(time.Second)},
			Requests:   map[starling.Exchange]starling.Distribution{{Served: true, Kind: text, Result: text}: spreadOf(time.Second)},
			Meshes:     map[string]int{text: 3}, PublishErrors: map[string]uint64{"block": 1},
			Checks: map[string]starling.Distribution{text: spreadOf(time.Second)}, Imports: spreadOf(2 * time.Second),
			Imported: 7, GapsFound: 2, GapsClosed: 1, GapsOpen: 1, Reorgs: 1, BytesServed: 5,
			Refusals: map[string]uint64{text: 1}, Book: 10, BookTried: 4, BookRefused: map[string]uint64{text: 1}, Kept: []starling.KeptPlaces{{Capability: text, Count: 2, Taken: 1}},
			Queues: map[string]int{text: 1}, Drops: map[starling.Drop]uint64{{Queue: text, Reason: text}: 1},
			Loops: map[string]starling.Loop{"swarm": {Ratio: 0.5, Busy: time.Second, Steps: spreadOf(time.Second)}},
		},
		Status: starling.Status{
			Wire: "native", Inbound: 2, Outbound: 3, Bans: 1, ClockSuspect: true, Chain: chain.Status{Head: chain.Ref{Number: 42}},
			Sync: starling.SyncStatus{Mode: "forward", Target: 99, Stuck: text},
		},
		Scores: []float64{-30, 0, 12}, HeadTime: time.Unix(1000, 5e8), PoolTxs: 3, PoolSize: 300, PoolDrops: map[string]uint64{text: 1}, ConsensusDrops: map[string]uint64{text: 1}, RPC: map[string]uint64{text: 1},
		Engine:    &Engine{State: text, Head: 7, FillAt: 3, FillTo: 9, FillRate: 1.5, Coalesced: 2, Calls: map[EngineCall]uint64{{Call: text, Result: text}: 1}},
		EngineAPI: map[string]uint64{text: 1},
		Build:     Build{Version: "0.1.0", Revision: "abcdef", GoVersion: "go1.26"},
	}
}

func gather(t *testing.T, s *Set) map[string]*dto.MetricFamily {
	t.Helper()
	got, err := s.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*dto.MetricFamily{}
	for _, f := range got {
		out[f.GetName()] = f
	}
	return out
}

func TestEveryFamilyOfTheTableIsShownAsItSays(t *testing.T) {
	got := gather(t, New(func() Snapshot { return full("text") }))
	kinds := map[Kind]dto.MetricType{Counter: dto.MetricType_COUNTER, Gauge: dto.MetricType_GAUGE, Histogram: dto.MetricType_HISTOGRAM}
	for _, f := range Families() {
		g := got[f.Name]
		if g == nil {
			t.Errorf("%s is not shown", f.Name)
			continue
		}
		delete(got, f.Name)
		if g.GetType() != kinds[f.Kind] || g.GetHelp() != f.Help {
			t.Errorf("%s is a %v: %q", f.Name, g.GetType(), g.GetHelp())
		}
		for _, m := range g.GetMetric() {
			var names []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
			}
			if want := slices.Sorted(slices.Values(f.Labels)); !slices.Equal(names, want) {
				t.Errorf("%s has labels %v, want %v", f.Name, names, want)
			}
		}
	}
	for name := range got {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is shown and not in the table", name)
		}
	}
	if got["go_goroutines"] == nil {
		t.Error("the Go runtime's metrics are not there")
	}
}

func TestNamesFollowTheRules(t *testing.T) {
	name := regexp.MustCompile(`^starling_[a-z]+(_[a-z]+)+$`)
	part := regexp.MustCompile(`^starling_(build|chain|pool|rpc|swarm|wire|gossip|serve|sync|loop|queue|engine)_`)
	seen := map[string]bool{}
	for _, f := range Families() {
		if !name.MatchString(f.Name) || !part.MatchString(f.Name) || seen[f.Name] {
			t.Errorf("%s: want starling_<part>_<noun>_<unit>, once", f.Name)
		}
		seen[f.Name] = true
		if (f.Kind == Counter) != strings.HasSuffix(f.Name, "_total") {
			t.Errorf("%s is a %s; counters and only they end in _total", f.Name, f.Kind)
		}
		if regexp.MustCompile(`_(ms|milliseconds|minutes|kib|mib|percent)(_|$)`).MatchString(f.Name) {
			t.Errorf("%s: want base units", f.Name)
		}
		if !strings.HasSuffix(f.Help, ".") {
			t.Errorf("%s: help %q is no sentence", f.Name, f.Help)
		}
		for _, l := range f.Labels {
			if slices.Contains([]string{"peer", "id", "addr", "address", "agent", "ip", "hash", "number"}, l) {
				t.Errorf("%s has the label %q: there are as many values as peers make", f.Name, l)
			}
		}
	}
	problems, err := testutil.GatherAndLint(New(func() Snapshot { return full("text") }).Gatherer(), slices.Collect(func(yield func(string) bool) {
		for _, f := range Families() {
			if !yield(f.Name) {
				return
			}
		}
	})...)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// Threat C-09: whatever text of a peer comes into a counter, no label is made
// of it, and the scrape stays whole.
func TestTextOfPeersBecomesNoLabel(t *testing.T) {
	for _, text := range []string{
		"evil\n# HELP x", `a="b"`, "späte Häme", strings.Repeat("a", 65), "a b", "{}", "\x00", "\xff\xfe", "12D3KooW{", "💥",
	} {
		s := full(text)
		for i := range 200 {
			s.Counters.Verdicts[starling.VerdictKey{Message: "app", Action: "ignore", Reason: fmt.Sprint(text, " ", i)}] = 1
			s.Counters.Requests[starling.Exchange{Kind: "app", Result: fmt.Sprint(text, " ", i)}] = spreadOf(time.Second)
		}
		got := gather(t, New(func() Snapshot { return s }))
		for name, f := range got {
			if len(f.GetMetric()) > 40 && strings.HasPrefix(name, "starling_") {
				t.Errorf("%q: %s has %d series", text, name, len(f.GetMetric()))
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if !fits(l.GetValue()) {
						t.Errorf("%s{%s=%q}", name, l.GetName(), l.GetValue())
					}
				}
			}
		}
		if v := got["starling_gossip_verdicts_total"].GetMetric(); len(v) != 1 || v[0].GetCounter().GetValue() != 201 {
			t.Errorf("%q: verdicts are %v, want all under one reason", text, v)
		}
		if h := got["starling_wire_requests_seconds"].GetMetric(); len(h) != 2 {
			t.Errorf("%q: requests are in %d series, want 2", text, len(h))
		}
	}
}

// The labels that a node has beforehand are few.
func TestSeriesOfANodeAreFew(t *testing.T) {
	s := full("ok")
	n := testutil.CollectAndCount(New(func() Snapshot { return s }))
	if n > 120 {
		t.Errorf("%d series with one value for each label, want few", n)
	}
}

func TestValuesAreRight(t *testing.T) {
	want := `
# HELP starling_swarm_peers Open sessions, by who dialled.
# TYPE starling_swarm_peers gauge
starling_swarm_peers{direction="inbound"} 2
starling_swarm_peers{direction="outbound"} 3
# HELP starling_swarm_peer_score Scores of the peers with a session now, -100 to 100.
# TYPE starling_swarm_peer_score histogram
starling_swarm_peer_score_bucket{le="-100"} 0
starling_swarm_peer_score_bucket{le="-50"} 0
starling_swarm_peer_score_bucket{le="-20"} 1
starling_swarm_peer_score_bucket{le="-10"} 1
starling_swarm_peer_score_bucket{le="-5"} 1
starling_swarm_peer_score_bucket{le="-1"} 1
starling_swarm_peer_score_bucket{le="0"} 2
starling_swarm_peer_score_bucket{le="10"} 2
starling_swarm_peer_score_bucket{le="50"} 3
starling_swarm_peer_score_bucket{le="100"} 3
starling_swarm_peer_score_bucket{le="+Inf"} 3
starling_swarm_peer_score_sum -18
starling_swarm_peer_score_count 3
# HELP starling_sync_import_seconds Imports, each of a batch of blocks.
# TYPE starling_sync_import_seconds histogram
starling_sync_import_seconds_bucket{le="0.001"} 1
starling_sync_import_seconds_bucket{le="1"} 3
starling_sync_import_seconds_bucket{le="+Inf"} 6
starling_sync_import_seconds_sum 2
starling_sync_import_seconds_count 6
# HELP starling_chain_head_timestamp_seconds Time in the head's header, since 1970; absent while it is not known.
# TYPE starling_chain_head_timestamp_seconds gauge
starling_chain_head_timestamp_seconds 1000.5
`
	s := New(func() Snapshot { return full("text") })
	err := testutil.GatherAndCompare(s.Gatherer(), strings.NewReader(want),
		"starling_swarm_peers", "starling_swarm_peer_score", "starling_sync_import_seconds", "starling_chain_head_timestamp_seconds")
	if err != nil {
		t.Error(err)
	}
}

func TestHandlerServesTheTextFormatFromItsOwnRegistry(t *testing.T) {
	h := New(func() Snapshot { return full("text") }).Handler()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, "\nstarling_chain_head_number 42\n") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v\n%.400s", w.Code, w.Header(), body)
	}
	global, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range global {
		if strings.HasPrefix(f.GetName(), "starling_") {
			t.Errorf("%s is in the global registry", f.GetName())
		}
	}
}

func TestPageIsWhatTheTableSays(t *testing.T) {
	const path = "../../docs/metrics.md"
	if *update {
		if err := os.WriteFile(path, []byte(Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Page() {
		t.Error("docs/metrics.md is stale; write it anew: go test ./internal/metrics -update")
	}
}
