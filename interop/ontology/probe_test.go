package ontology

import (
	"context"
	"testing"

	wireontology "github.com/starlingp2p/starling/wire/ontology"
)

// A stranger meets v1.0.0, which answers who names its network, and hangs up on
// whoever names another.
func TestAStrangerMeetsV1(t *testing.T) {
	p := runV1(t, map[string]any{"keys": []string{key}, "height": 20})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	met, err := wireontology.Probe(ctx, p.addr(), magic)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range met.Steps {
		t.Logf("%s: %v after %v", s.Name, s.Err, s.Took)
		if s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
	}
	if met.Peer.ID == "" || met.Claims.Head.Number != 20 || met.RTT <= 0 || met.Time.IsZero() {
		t.Errorf("it is %+v, it claims %+v", met.Peer, met.Claims)
	}
	other, err := wireontology.Probe(ctx, p.addr(), 0)
	if err != nil || len(other.Steps) != 3 {
		t.Fatalf("on other networks: %+v, %v", other, err)
	}
	for _, s := range other.Steps {
		t.Logf("%s: %v after %v", s.Name, s.Err, s.Took)
		if s.Err == nil {
			t.Errorf("%s was taken", s.Name)
		}
	}
}
