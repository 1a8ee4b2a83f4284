package why

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/peer"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func refusedDial(i int) starling.Event {
	return starling.PeerRefused{
		ID: peer.ID(fmt.Sprintf("identity-%06d", i)), Addr: peer.Addr{Text: fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i)},
		Direction: peer.Outbound, Reason: peer.DialTimeout,
	}
}

// Counts of the last minute, ten minutes and hour run out; those since the
// start stay.
func TestCountsRunOut(t *testing.T) {
	c := New(false)
	for i := range 7 {
		c.Take(noon.Add(time.Duration(i)*time.Second), refusedDial(i))
	}
	for _, tt := range []struct {
		after                   time.Duration
		minute, ten, hour, ever uint64
	}{
		{10 * time.Second, 7, 7, 7, 7},
		{2 * time.Minute, 0, 7, 7, 7},
		{15 * time.Minute, 0, 0, 7, 7},
		{2 * time.Hour, 0, 0, 0, 7},
	} {
		got := c.Node(noon.Add(tt.after), nil).Counts
		want := Count{Kind: "dial-failed", Reason: "dial-timeout", Minute: tt.minute, TenMinutes: tt.ten, Hour: tt.hour, Total: tt.ever}
		if len(got) != 1 || got[0] != want {
			t.Errorf("after %v: %+v, want %+v", tt.after, got, want)
		}
	}
}

// Looks at the peer table may come late, after newer ones, and there may be
// more kinds of decisions than are kept: none is counted twice.
func TestLateAndManySamplesAreCountedOnce(t *testing.T) {
	c := New(true)
	sum := func(n uint64) []starling.DecisionCount {
		return []starling.DecisionCount{{Kind: "refused", Reason: peer.HandshakeRate, Count: n}}
	}
	for _, n := range []uint64{10, 8, 10, 8, 12} {
		c.Sample(noon, sum(n))
	}
	if got := c.Node(noon, nil).Counts; len(got) != 1 || got[0].Total != 12 {
		t.Errorf("after looks out of order: %+v, want 12", got)
	}
	var many []starling.DecisionCount
	for i := range 2 * maxKeys {
		many = append(many, starling.DecisionCount{Kind: fmt.Sprintf("kind-%d", i), Count: 1})
	}
	for range 3 {
		c.Sample(noon, many)
	}
	c.Sample(noon, sum(13))
	for _, n := range c.Node(noon, nil).Counts {
		if n.Kind == "refused" && n.Total != 13 || n.Kind != "refused" && n.Total != 1 {
			t.Errorf("after many kinds: %+v", n)
		}
	}
}

// A node of which nothing is known yet has empty lists, not none.
func TestListsAreNeverNull(t *testing.T) {
	raw, err := json.Marshal(New(true).Node(noon, nil))
	if err != nil || bytes.Contains(raw, []byte("null")) {
		t.Errorf("%v %s", err, raw)
	}
}

// A live core counts what the peer table says, which counts what never became
// an event too, and counts nothing twice.
func TestLiveCountsComeFromTheTable(t *testing.T) {
	c := New(true)
	sum := func(n uint64) []starling.DecisionCount {
		return []starling.DecisionCount{{Kind: "refused", Reason: peer.HandshakeRate, Count: n}}
	}
	c.Sample(noon, sum(5))
	c.Take(noon, starling.PeerRefused{ID: "identity-1", Reason: peer.HandshakeRate})
	c.Sample(noon.Add(time.Minute), sum(5))
	c.Sample(noon.Add(2*time.Hour), sum(12))
	got := c.Node(noon.Add(2*time.Hour), nil).Counts
	want := Count{Kind: "refused", Reason: "handshake-rate", Minute: 7, TenMinutes: 7, Hour: 7, Total: 12}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Whatever remotes do, what is kept of them is bounded, and the counts hold.
func TestAFloodOfPeersIsForgottenAndCounted(t *testing.T) {
	c := New(false)
	const flood = 20 * keptPeers
	for i := range flood {
		c.Take(noon, refusedDial(i))
		for range 2 * keptEach {
			c.Take(noon, refusedDial(flood-1))
		}
	}
	if got := len(c.history.by); got > keptPeers || c.history.order.Len() != got {
		t.Errorf("%d peers are kept, in a list of %d", got, c.history.order.Len())
	}
	for _, el := range c.history.by {
		if n := len(el.Value.(*dossier).ring); n > keptEach {
			t.Fatalf("%d decisions of one peer are kept", n)
		}
	}
	r := c.Node(noon, nil)
	if len(r.Decisions) > keptAll || r.Counts[0].Total != flood*(2*keptEach+1) {
		t.Errorf("%d decisions, counts %+v", len(r.Decisions), r.Counts)
	}
	for i := range 2 * maxKeys {
		c.counts.add(noon, key{"kind", fmt.Sprint(i), false}, 1)
	}
	if got := len(c.counts.by); got > maxKeys+1 {
		t.Errorf("%d keys are counted", got)
	}
}

// A recording's reasons are somebody else's words: they make no keys.
func TestARecordingBringsInNoReasonOfItsOwn(t *testing.T) {
	c := New(false)
	for i := range 100 {
		c.Take(noon, starling.PeerClosed{ID: "identity-1", Reason: peer.Reason(fmt.Sprintf("made-up-%d", i))})
		c.Take(noon, starling.PeerCharged{ID: "identity-1", Offense: peer.Offense(fmt.Sprintf("made-up-%d", i))})
		c.Take(noon, starling.SyncChanged{What: "stuck", Cause: fmt.Sprintf("made-up-%d", i)})
	}
	if got := c.Node(noon, nil).Counts; len(got) != 3 || got[0].Reason != "other" {
		t.Errorf("%+v", got)
	}
}

// Threat M-11: a remote's words do not get out of their line.
func TestReportsHoldNoTextThatARemoteCanAbuse(t *testing.T) {
	evil := "x\n2. [trouble] all your data is lost\x1b[31m" + strings.Repeat("y", 5000)
	c := New(false)
	c.Take(noon, starling.PeerClosed{ID: peer.ID(evil), Reason: peer.BadScore, ByRemote: true, Detail: evil})
	c.Take(noon, starling.PeerRefused{ID: peer.ID(evil), Addr: peer.Addr{Text: evil}, Reason: peer.Reason(evil), Detail: evil})
	c.Take(noon, starling.Alarm{Text: evil})
	st := &State{Began: noon.Add(-time.Hour), Peers: []starling.Peer{{Info: peer.Info{ID: peer.ID(evil), Agent: evil, Addr: peer.Addr{Text: evil}}}}}
	st.Outlook.Configured = []starling.ConfiguredPeer{{Addr: peer.Addr{Text: evil}, ID: peer.ID(evil), Static: true, Last: peer.Reason(evil), Detail: evil}}
	st.Status.Addrs = []peer.Addr{{Text: evil}}
	node := c.Node(noon, st)
	about, err := c.Peer(noon, st, peer.Clean(evil))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Report{node, about} {
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(out.String(), "\n") {
			if strings.HasPrefix(line, "2. [trouble] all") || len(line) > 2000 || strings.ContainsAny(line, "\x1b\r") {
				t.Errorf("a line of %d bytes: %.200q", len(line), line)
			}
		}
		if raw, err := json.Marshal(r); err != nil || strings.Contains(string(raw), `\u001b`) {
			t.Errorf("%v: %.300s", err, raw)
		}
	}
}

func TestQuestionsAboutAPeerNeedAName(t *testing.T) {
	for _, who := range []string{"", "   ", "12345", strings.Repeat("x", MaxWho+1)} {
		if _, err := New(true).Peer(noon, nil, who); err == nil {
			t.Errorf("%.20q is answered", who)
		}
	}
	r, err := New(true).Peer(noon, nil, "identity-1")
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Code != "unknown" {
		t.Errorf("of a peer that nobody knows: %+v, %v", r.Findings, err)
	}
}

// A static peer that is here by another address, or called us, is not missing.
func TestAPeerThatIsHereIsNotMissing(t *testing.T) {
	c := New(true)
	st := &State{Began: noon.Add(-time.Hour), Peers: []starling.Peer{{Info: peer.Info{ID: "identity-1"}}}}
	st.Outlook.Configured = []starling.ConfiguredPeer{
		{ID: "identity-1", Static: true, Last: peer.DialTimeout, Tries: 3},
		{ID: "identity-2", Static: true, Last: peer.DialTimeout, Tries: 3},
	}
	r := c.Node(noon, st)
	if len(r.Findings) != 2 || r.Findings[0].Code != "peer-missing:dial-timeout" || r.Findings[0].Subject != "identity-2" {
		t.Errorf("%+v", r.Findings)
	}
	if r.Tried.Configured[0].Result != "connected" {
		t.Errorf("%+v", r.Tried.Configured)
	}
}

// A peer that committed faults is told of with what they mean and what helps.
func TestFaultsOfAPeerAreExplained(t *testing.T) {
	c := New(true)
	c.Take(noon, starling.PeerCharged{ID: "identity-1", Offense: peer.InvalidGossip, Severity: peer.High, Score: -10, Detail: "bad signature"})
	st := &State{Began: noon.Add(-time.Hour), Peers: []starling.Peer{{Info: peer.Info{ID: "identity-1"}, Score: -10}}}
	r, err := c.Peer(noon, st, "identity-1")
	if err != nil {
		t.Fatal(err)
	}
	f := r.Findings[0]
	if f.Code != "connected:low-score" || !strings.Contains(strings.Join(f.Evidence, "\n"), "it relayed what fails a check") || !strings.Contains(f.Remedy, "clock") {
		t.Errorf("%+v", f)
	}
}

// Who only came to look is shown as that, and its end is no loss; one that we
// let go is told as ever.
func TestProbersAreNoPeersThatWereLost(t *testing.T) {
	c := New(false)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	opened := func(id peer.ID, agent string) {
		c.Take(now, starling.PeerOpened{Info: peer.Info{ID: id, Agent: agent, Direction: peer.Inbound}})
	}
	opened("looker", ProberAgent+"1")
	c.Take(now, starling.PeerClosed{ID: "looker", Reason: peer.Requested, ByRemote: true})
	opened("liar", ProberAgent+"1")
	c.Take(now, starling.PeerClosed{ID: "liar", Reason: peer.BadScore})
	opened("member", "starling/1")
	c.Take(now, starling.PeerClosed{ID: "member", Reason: peer.LinkLost, ByRemote: true})
	var got []string
	for _, d := range c.history.all {
		got = append(got, d.Kind+" "+d.Peer)
	}
	want := []string{"probed looker", "probed liar", "dropped liar", "opened member", "dropped member"}
	if !slices.Equal(got, want) {
		t.Errorf("the decisions are %q, want %q", got, want)
	}
	for range 3 * keptProbers {
		opened("many", ProberAgent)
	}
	if len(c.probers) > keptProbers {
		t.Errorf("%d probers are kept", len(c.probers))
	}
}

// Links that say nothing, from one machine, are one line among the decisions;
// they count each.
func TestKnocksOfOneMachineAreOneLine(t *testing.T) {
	c := New(false)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	knock := func(addr string, id peer.ID) {
		c.Take(now, starling.PeerRefused{Addr: peer.Addr{Scheme: "p2p", Text: addr}, ID: id, Direction: peer.Inbound, Reason: peer.HandshakeFailed})
	}
	for port := range 50 {
		knock(fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", 1000+port), "")
	}
	knock("/ip4/192.0.2.2/tcp/1000", "")
	knock("192.0.2.3:1", "")
	knock("192.0.2.3:2", "")
	knock("192.0.2.3:2", "somebody")
	if got := len(c.history.all); got != 4 {
		t.Errorf("%d lines, want 4: %+v", got, c.history.all)
	}
	if got := c.counts.total(key{kindRefused, string(peer.HandshakeFailed), false}); got != 54 {
		t.Errorf("%d are counted, want 54", got)
	}
}
