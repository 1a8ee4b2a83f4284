package daemon

import (
	"fmt"
	"strings"
	"testing"
)

// Places of a network of Ethereum's kind are kept for the protocols that it
// speaks, and no more than there are.
func TestPlacesOfAnEthereumNetworkAreChecked(t *testing.T) {
	for _, tt := range []struct{ places, want string }{
		{`{ eth = 3, "eth/68" = 8 }`, ""},
		{`{ "eth/69" = 3 }`, `keeps some for "eth/69"; want a protocol that is spoken here: eth, eth/68`},
		{`{ snap = 3 }`, `keeps some for "snap"`},
		{`{ eth = 0 }`, `keeps 0 for "eth", want 1 to max_peers (20)`},
		{`{ eth = 21 }`, `keeps 21 for "eth"`},
		{`{ eth = 18446744073709551615 }`, `places`},
		{`{ eth = 15, "eth/68" = 6 }`, "keeps 21 in all, more than max_peers (20)"},
	} {
		text := strings.Replace(ethConfig, "[network.ethereum]", "max_peers = 20\n[network.ethereum]\nplaces = "+tt.places, 1)
		cfg, err := ParseConfig([]byte(text))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.places, err, tt.want)
			continue
		}
		if err == nil {
			if got := fmt.Sprint(cfg.Networks[0].Ethereum.places()); got != "[{eth 3} {eth/68 8}]" {
				t.Errorf("%s: places %s", tt.places, got)
			}
		}
	}
}
