package opstack_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Each fork that a schedule can name has the methods that op-node calls for it
// (op-node/rollup/types.go, NewPayloadVersion; before Canyon it calls V2, which
// takes what V1 takes). V5 of newPayload, which go-ethereum has for Amsterdam,
// wants a slot number and a list of accesses that no payload of the OP Stack has.
func TestEachForkHasItsMethods(t *testing.T) {
	methods := map[string][2]int{ // newPayload, forkchoiceUpdated
		"": {1, 1}, "regolith": {1, 1}, "canyon": {2, 2}, "delta": {2, 2}, "ecotone": {3, 3}, "fjord": {3, 3}, "granite": {3, 3},
		"holocene": {3, 3}, "isthmus": {4, 3}, "jovian": {4, 3}, "karst": {4, 3}, "lagoon": {4, 3},
	}
	secret := jwt.Secret{1}
	var asked question
	e := engine(t, authrpc(t, secret, func(q question) string {
		if asked = q; len(q.Params) == 2 {
			return isChosen
		}
		return isValid
	}), secret)
	for i, name := range append([]string{""}, opstack.ForkNames()...) {
		want, ok := methods[name]
		if !ok {
			t.Fatalf("the fork %q has no methods here", name)
		}
		f := family(t, func(c *opstack.Config) {
			c.Forks = nil
			for _, fork := range opstack.ForkNames()[:i] {
				c.Forks = append(c.Forks, opstack.Fork{Name: fork, Time: epoch})
			}
		})
		p, err := codec.EnvelopeOf(blocks(t, f, 1)[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.NewPayload(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(asked.Params[0], &fields); err != nil {
			t.Fatal(err)
		}
		if asked.Method != fmt.Sprintf("engine_newPayloadV%d", want[0]) || fields["slotNumber"] != nil || fields["blockAccessList"] != nil {
			t.Errorf("%q: a payload goes out by %s with %d fields, want V%d", name, asked.Method, len(fields), want[0])
		}
		if _, err := e.Forkchoice(t.Context(), p.Version, p.BlockHash, chain.Hash{}, chain.Hash{}); err != nil {
			t.Fatal(err)
		}
		if asked.Method != fmt.Sprintf("engine_forkchoiceUpdatedV%d", want[1]) {
			t.Errorf("%q: a head is named by %s, want V%d", name, asked.Method, want[1])
		}
	}
}
