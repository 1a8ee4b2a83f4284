package daemon

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// Each named check is one reason: the label of a metric, the reason of its
// verdict, and one text, which starling_verdicts tells.
func TestEachCheckIsOneLabelAndOneText(t *testing.T) {
	texts, seen := opstack.Reasons(), map[string]bool{}
	for _, c := range rules.Checks() {
		if c.Verdict.Reason != c.Name || texts[c.Name] != c.Why || c.Why == "" {
			t.Errorf("%s: its verdict says %q, its text is %q", c.Name, c.Verdict.Reason, texts[c.Name])
		}
		if seen[c.Name] || seen[c.Why] {
			t.Errorf("%s or its text is there twice", c.Name)
		}
		seen[c.Name], seen[c.Why] = true, true
	}
	s := serveOP(t)
	var verdicts []VerdictReply
	if err := json.Unmarshal(askOP(t, s.dial(t), "starling_verdicts"), &verdicts); err != nil {
		t.Fatal(err)
	}
	told := map[string]VerdictReply{}
	for _, v := range verdicts {
		told[v.Reason] = v
	}
	_, metrics := get(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, s.ready.RPC+"/metrics")
	for _, c := range rules.Checks()[:rules.FirstJudged] { // those that the node judges by are told once there is one
		v := told[c.Name]
		if v.Why != c.Why || v.Message != "block" || v.Action != c.Verdict.Action.String() {
			t.Errorf("%s is told as %+v", c.Name, v)
		}
		if label := `starling_gossip_verdicts_total{reason="` + c.Name + `",type="block",verdict="` + v.Action + `"} 0`; !strings.Contains(metrics, label) {
			t.Errorf("/metrics has no %s", label)
		}
	}
	for _, topic := range []string{"V1", "V2", "V3", "V4"} {
		if line := `starling_gossip_mesh_peers{topic="blocks` + topic + `"} 0`; !strings.Contains(metrics, line) {
			t.Errorf("/metrics has no %s", line)
		}
	}
}
