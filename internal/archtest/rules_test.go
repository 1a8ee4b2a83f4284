package archtest

import "testing"

func TestPlaceKnowsEachPart(t *testing.T) {
	tests := []struct {
		dir, part string
		ok        bool
	}{
		{"env", "env", true},
		{"env/more", "", false},
		{"chain", "chain", true},
		{"chain/chaintest", "chain/chaintest", true},
		{"wire/native", "wire/native", true},
		{"wire/opstack/codec", "wire/opstack/codec", true},
		{"wire/opstack/codec/rules", "wire/opstack/codec", true},
		{"wire/internal/p2phost", "wire/internal", true},
		{"wire/another", "", false},
		{"internal/swarm", "internal/swarm", true},
		{"internal/bucket", "internal", true},
		{"ledger/sequenced", "ledger", true},
		{".", ".", true},
		{"unheard/of", "", false},
	}
	for _, tt := range tests {
		if part, _, ok := place(tt.dir); part != tt.part || ok != tt.ok {
			t.Errorf("place(%q) = %q, %v; want %q, %v", tt.dir, part, ok, tt.part, tt.ok)
		}
	}
}

func TestMayImportFollowsTheTiers(t *testing.T) {
	tests := []struct {
		from, to string
		want     bool
	}{
		{"chain", "peer", true},
		{"peer", "chain", false},
		{"peer", "env", false},
		{"wire", "chain", true},
		{"wire/native", "wire", true},
		{"wire/opstack", "wire/opstack/codec", true},
		{"wire/native", "wire/internal/reqresp", true},
		{"wire/opstack", "wire/internal/reqresp", true},
		{"wire/native", "wire/opstack", false},
		{"wire/native", "wire/opstack/codec", false},
		{"wire/native", ".", false},
		{"wire/native", "internal/swarm", false},
		{"wire/native", "internal/meter", true},
		{"internal/swarm", "internal/bucket", true},
		{"internal/swarm", "internal/blocksync", false},
		{"internal/swarm", "wire/internal/codec", false},
		{"internal/swarm", ".", false},
		{"ledger/sequenced", "ledger", true},
		{"ledger/opstack", "wire/opstack/codec", true},
		{"ledger/opstack", "wire/opstack", false},
		{".", "internal/swarm", true},
		{".", "wire/native", false},
		{".", "ledger", false},
		{".", "chain/chaintest", false},
		{"internal/daemon", "wire/native", true},
		{"internal/daemon", "internal/rpc", true},
		{"internal/rpc", "internal/daemon", false},
		{"cmd/starling", "internal/devnet", true},
		{"internal/devnet", "cmd/starling", false},
	}
	for _, tt := range tests {
		if why := mayNot(tt.from, tt.to); (why == "") != tt.want {
			t.Errorf("import of %s by %s: %q, want allowed = %v", tt.to, tt.from, why, tt.want)
		}
	}
}

func TestRegionEndsAtTheNext(t *testing.T) {
	const text = "package p\n\n// region: one\n\na\nb\n\n// region: two\nc\n"
	for name, want := range map[string]string{"one": "\na\nb\n", "two": "c\n"} {
		if got, err := region(text, name); got != want || err != nil {
			t.Errorf("region %s = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := region(text, "three"); err == nil {
		t.Error("a region that is not there is no error")
	}
}
