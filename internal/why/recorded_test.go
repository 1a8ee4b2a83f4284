package why

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/peer"
)

// recording is one in which a peer lets us go and the sync is stuck.
func recording(t testing.TB) []byte {
	t.Helper()
	l := eventlog.New(0)
	l.Add(starling.PeerOpened{Info: peer.Info{ID: "identity-1", Direction: peer.Outbound}})
	l.Add(starling.PeerClosed{ID: "identity-1", Reason: peer.BadScore, ByRemote: true})
	l.Add(starling.SyncChanged{What: "stuck", Cause: "peers-silent", Detail: "1 of 1 peers do not answer"})
	var out bytes.Buffer
	if _, err := l.WriteRecording(t.Context(), &out, eventlog.Header{Node: "us", Network: "demo"}, eventlog.Limits{}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestARecordingIsExplained(t *testing.T) {
	raw := recording(t)
	r, err := Recorded(bytes.NewReader(raw), "")
	if err != nil || len(r.Findings) < 2 || r.Findings[0].Code != "not-syncing:peers-silent" || r.Findings[1].Code != "dropped:bad-score" {
		t.Fatalf("%+v, %v", r, err)
	}
	if !strings.Contains(r.Source, "3 events") || !strings.Contains(r.Source, "node us") {
		t.Errorf("it is said to be %q", r.Source)
	}
	if r, err = Recorded(bytes.NewReader(raw), "identity-1"); err != nil || r.Findings[0].Code != "dropped:bad-score" {
		t.Errorf("of the peer: %+v, %v", r, err)
	}
	cut := raw[:bytes.LastIndexByte(raw[:len(raw)-1], '\n')+1]
	if r, err = Recorded(bytes.NewReader(cut), ""); err != nil || !strings.Contains(r.Source, "no end") {
		t.Errorf("without its end: %q, %v", r.Source, err)
	}
	for _, bad := range []string{"", "garbage\n", string(raw[:len(raw)-20]) + "\n"} {
		if _, err := Recorded(strings.NewReader(bad), ""); err == nil {
			t.Errorf("%.40q is explained", bad)
		}
	}
	if _, err := Recorded(bytes.NewReader(raw), "x"); err == nil {
		t.Error("a question about nobody is answered")
	}
}

// FuzzRecorded: whatever is in a recording, the answer is bounded and made of
// plain lines.
func FuzzRecorded(f *testing.F) {
	f.Add(recording(f), "")
	f.Add(recording(f), "identity-1")
	f.Fuzz(func(t *testing.T, in []byte, who string) {
		r, err := Recorded(bytes.NewReader(in), who)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 4<<20 || strings.ContainsAny(out.String(), "\x1b\r\x00") {
			t.Fatalf("%d bytes: %.300q", out.Len(), out.String())
		}
		if r.Time.After(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Fatalf("of %v", r.Time)
		}
	})
}
