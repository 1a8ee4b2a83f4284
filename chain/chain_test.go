package chain_test

import (
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

func TestParseHashTakesWhatStringPrints(t *testing.T) {
	h := chain.Hash{0: 0xab, 31: 0x01}
	for _, s := range []string{h.String(), h.String()[2:]} {
		got, err := chain.ParseHash(s)
		if err != nil || got != h {
			t.Errorf("ParseHash(%q) = %v, %v; want %v", s, got, err, h)
		}
	}
	for _, s := range []string{"", "0x", "0x12", h.String() + "00", "0x" + string(make([]byte, 64))} {
		if _, err := chain.ParseHash(s); err == nil {
			t.Errorf("ParseHash(%q) took nonsense", s)
		}
	}
}

func TestWeightOrdersAsNumbers(t *testing.T) {
	ordered := []uint64{0, 1, 255, 256, 1 << 40, 1<<64 - 1}
	for i, a := range ordered {
		for j, b := range ordered {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := chain.WeightOf(a).Compare(chain.WeightOf(b)); got != want {
				t.Errorf("WeightOf(%d).Compare(WeightOf(%d)) = %d, want %d", a, b, got, want)
			}
		}
		if got := chain.WeightOf(a).Big().Uint64(); got != a {
			t.Errorf("WeightOf(%d).Big() = %d", a, got)
		}
	}
}

func TestVerdictsByDefaultHarmNobody(t *testing.T) {
	var zero chain.Verdict
	if zero.Action != chain.Ignore || zero.Severity != peer.None {
		t.Errorf("zero verdict is %v at %v, want ignore at none", zero.Action, zero.Severity)
	}
	if v := chain.Rejected("bad-signature"); v.Severity != peer.High || v.String() != "reject: bad-signature" {
		t.Errorf("Rejected = %v at %v", v, v.Severity)
	}
	if v := chain.RejectedAt(peer.None, "stale"); v.Action != chain.Reject || v.Severity != peer.None {
		t.Errorf("RejectedAt(None) = %v at %v", v, v.Severity)
	}
}
