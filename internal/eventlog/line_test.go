package eventlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// noon is a time for records.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// samples has one event of each kind, with all that its record tells.
func samples() []starling.Event {
	ref := chain.Ref{Number: 7, Hash: chain.Hash{1, 2, 3}}
	a := peer.Addr{Text: "/ip4/192.0.2.1/tcp/4001"}
	return []starling.Event{
		starling.PeerOpened{Info: peer.Info{
			ID: "12D3", Addr: a, Wire: "native", Direction: peer.Outbound, Proven: true, Agent: "starling/0.1",
			Listen: []peer.Addr{a}, Protocols: []string{"/starling/status/1"},
		}},
		starling.PeerClosed{ID: "12D3", Reason: peer.Idle, ByRemote: true, Detail: "3 pings"},
		starling.PeerRefused{ID: "12D3", Addr: a, Direction: peer.Outbound, Reason: peer.WrongGenesis, ByRemote: true, Detail: "theirs 0xbad"},
		starling.PeerNotDialled{ID: "12D3", Addr: a, Reason: peer.NetRestricted, Detail: "192.0.2.1"},
		starling.PeerCharged{ID: "12D3", Offense: peer.BadFrame, Severity: peer.Fatal, Score: -100, Detail: "length 9"},
		starling.PeerBanned{Who: "12D3", For: time.Hour, Reason: "bad-frame", ByScore: true},
		starling.PeerUnbanned{Who: "192.0.2.0/24"},
		starling.HeadChanged{Status: chain.Status{Network: "demo", Head: ref, Finalized: chain.Ref{Number: 5}, Earliest: 1}, Blocks: []chain.Ref{{}, ref}},
		starling.BlockSeen{Ref: ref, From: "12D3"},
		starling.Published{Kind: "block", Ref: ref, Receipt: wire.Receipt{MeshPeers: 3, Queued: 2, Dropped: 1}, Err: starling.ErrExpired},
		starling.SyncChanged{What: "stuck", Cause: "no-peers", Detail: "no peers"},
		starling.TopicChanged{ID: "12D3", Topic: "blocks", Joined: true},
		starling.ClockSuspected{On: true, Skew: -time.Minute},
		starling.ClockJumped{By: 1500 * time.Millisecond},
		starling.Alarm{Text: "store: could not save bans"},
	}
}

// kinds are the events that package starling has, by its source.
func kinds(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the source of package starling: %v, %v", files, err)
	}
	var out []string
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "event" && fn.Recv != nil {
				out = append(out, fmt.Sprint(fn.Recv.List[0].Type))
			}
		}
	}
	slices.Sort(out)
	return out
}

// A new kind of event needs an encoding, a name and a sample here.
func TestEveryEventHasAnEncoding(t *testing.T) {
	var have []string
	names := map[string]bool{}
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, ev := range samples() {
		have = append(have, reflect.TypeOf(ev).Name())
		name := eventlog.Name(ev)
		if name == "unknown" || names[name] || !kebab.MatchString(name) {
			t.Errorf("%T is named %q", ev, name)
		}
		names[name] = true
	}
	slices.Sort(have)
	if diff := cmp.Diff(kinds(t), have); diff != "" {
		t.Errorf("events of package starling, and those with an encoding (+):\n%s", diff)
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	for i, ev := range samples() {
		want := eventlog.Record{ID: uint64(i + 1), Time: noon, Event: ev, Missed: uint64(i)}
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := eventlog.Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if p, ok := got.Event.(starling.Published); ok {
			if !errors.Is(p.Err, starling.ErrExpired) {
				t.Errorf("%s: the error came back as %v", raw, p.Err)
			}
			p.Err = starling.ErrExpired
			got.Event = p
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", raw, got, want)
		}
	}
}

// These lines are what programs read. They are added to, never edited.
func TestEncodingIsStable(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "records-v1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
	for i, ev := range samples() {
		got, err := json.Marshal(eventlog.Record{ID: uint64(i + 1), Time: noon, Event: ev})
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(want) || string(got) != want[i] {
			t.Errorf("line %d is not the golden one:\n%s", i+1, got)
		}
	}
}

// Threat M-11: what a remote calls itself, and all that it can put into a
// reason or an address, is cut and cleaned on its way into a record.
func TestRecordsHoldNoTextThatARemoteCanAbuse(t *testing.T) {
	evil := "a\n{\"v\":1}\x1b[2J\xff\u202e" + strings.Repeat("x", 1<<20)
	var list []string
	var addrs []peer.Addr
	for range 1000 {
		list, addrs = append(list, evil), append(addrs, peer.Addr{Text: evil})
	}
	evils := []starling.Event{
		starling.PeerOpened{Info: peer.Info{ID: peer.ID(evil), Addr: addrs[0], Agent: evil, Listen: addrs, Protocols: list, Wire: evil}},
		starling.PeerClosed{ID: peer.ID(evil), Reason: peer.Reason(evil), Detail: evil},
		starling.PeerRefused{ID: peer.ID(evil), Addr: addrs[0], Reason: peer.Reason(evil), Detail: evil},
		starling.PeerNotDialled{ID: peer.ID(evil), Addr: addrs[0], Reason: peer.Reason(evil), Detail: evil},
		starling.PeerCharged{ID: peer.ID(evil), Offense: peer.Offense(evil), Detail: evil},
		starling.PeerBanned{Who: evil, Reason: evil},
		starling.PeerUnbanned{Who: evil},
		starling.HeadChanged{Status: chain.Status{Network: evil}},
		starling.BlockSeen{From: peer.ID(evil)},
		starling.Published{Kind: evil, Err: errors.New(evil)},
		starling.SyncChanged{What: evil, Cause: evil, Detail: evil},
		starling.TopicChanged{ID: peer.ID(evil), Topic: evil},
		starling.ClockSuspected{},
		starling.ClockJumped{},
		starling.Alarm{Text: evil},
	}
	if len(evils) != len(samples()) {
		t.Fatalf("%d kinds of %d are tried", len(evils), len(samples()))
	}
	for _, ev := range evils {
		raw, err := json.Marshal(eventlog.Record{ID: 1, Time: noon, Event: ev})
		if err != nil {
			t.Errorf("%T: %v", ev, err)
			continue
		}
		if len(raw) > eventlog.MaxLine || strings.ContainsAny(string(raw), "\n\x1b") || !utf8.Valid(raw) || strings.Contains(string(raw), "\u202e") || strings.Contains(string(raw), `\u001b`) {
			t.Errorf("%T: a record of %d bytes: %.300q", ev, len(raw), raw)
		}
		if _, err := eventlog.Parse(raw); err != nil {
			t.Errorf("%T: %v", ev, err)
		}
	}
}

func TestPublishErrorsHaveFixedNames(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{fmt.Errorf("publish: %w", wire.ErrUnheard), "unheard"},
		{starling.ErrExpired, "expired"},
		{errors.New("what a wire may say"), "other"},
	} {
		if got := eventlog.PublishError(tt.err); got != tt.want {
			t.Errorf("PublishError(%v) = %q, want %q", tt.err, got, tt.want)
		}
		if tt.want != "" && !slices.Contains(eventlog.PublishErrors(), tt.want) {
			t.Errorf("%q is not among %q", tt.want, eventlog.PublishErrors())
		}
	}
}

func TestParseRefusesWhatIsNoRecord(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"not JSON", `{"v":1`, "not JSON"},
		{"another version", `{"v":2,"id":1,"time":"2026-11-21T12:00:00Z","event":"alarm"}`, "version 2, this program reads 1"},
		{"no number", `{"v":1,"time":"2026-11-21T12:00:00Z","event":"alarm"}`, "count from 1"},
		{"no time", `{"v":1,"id":1,"event":"alarm"}`, "no time"},
		{"a hash that is none", `{"v":1,"id":1,"time":"2026-11-21T12:00:00Z","event":"block-seen","hash":"0x12"}`, "want 64"},
		{"a time without end", `{"v":1,"id":1,"time":"2026-11-21T12:00:00Z","event":"clock-jumped","seconds":1e300}`, "1e+300 seconds"},
		{"imports beyond measure", `{"v":1,"id":1,"time":"2026-11-21T12:00:00Z","event":"head-changed","imports":1000000000}`, "1000000000 imports"},
		{"too long", `{"v":1,"id":1,"text":"` + strings.Repeat("x", eventlog.MaxLine) + `"}`, "want at most"},
	} {
		if _, err := eventlog.Parse([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
	_, err := eventlog.Parse([]byte(`{"v":1,"id":1,"time":"2026-11-21T12:00:00Z","event":"of-the-future"}`))
	if !errors.Is(err, eventlog.ErrUnknownEvent) {
		t.Errorf("an event of an unknown kind: %v", err)
	}
}

// FuzzParse: what is read is written, and read again, as the same.
func FuzzParse(f *testing.F) {
	for i, ev := range samples() {
		raw, err := json.Marshal(eventlog.Record{ID: uint64(i + 1), Time: noon, Event: ev})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		first, err := eventlog.Parse(in)
		if err != nil {
			return
		}
		raw, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("%q cannot be written: %v", in, err)
		}
		second, err := eventlog.Parse(raw)
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", in, raw, err)
		}
		if again, err := json.Marshal(second); err != nil || string(again) != string(raw) {
			t.Fatalf("%q became %q, %v", raw, again, err)
		}
	})
}
