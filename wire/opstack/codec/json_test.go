package codec_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/wire/opstack/codec"
)

func TestJSONKeepsWhatIsSigned(t *testing.T) {
	vs, _ := golden(t)
	for _, v := range vs {
		e, err := codec.DecodeEnvelope(v.envelope(), v.version)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back codec.Envelope
		if err := json.Unmarshal(raw, &back); err != nil || !bytes.Equal(codec.AppendEnvelope(nil, &back), v.envelope()) {
			t.Errorf("%s: %s is read as another block (%v)", v.version, raw, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		e := made(t)
		e.Withdrawals = nil
		raw, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back codec.Envelope
		if err := json.Unmarshal(raw, &back); err != nil || back.Version != e.Version || !bytes.Equal(codec.AppendEnvelope(nil, &back), codec.AppendEnvelope(nil, e)) {
			t.Fatalf("%s is read as another block (%v)", raw, err)
		}
	})
}

func TestJSONThatIsNoPayloadIsRefused(t *testing.T) {
	vs, _ := golden(t)
	e, err := codec.DecodeEnvelope(vs[3].envelope(), codec.V4)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(field string) string { // leaves a field out, under a name that nobody knows
		if !bytes.Contains(raw, []byte(`"`+field+`":`)) {
			t.Fatalf("no %s in %s", field, raw)
		}
		return strings.Replace(string(raw), `"`+field+`":`, `"x":`, 1)
	}
	for _, tt := range []struct{ text, want string }{
		{`{}`, "executionPayload is missing"},
		{`{"executionPayload":7}`, "payload"},
		{cut("parentBeaconBlockRoot"), "parentBeaconBlockRoot goes with"},
		{cut("baseFeePerGas"), "baseFeePerGas is missing"},
		{cut("blobGasUsed"), "one of blobGasUsed"},
		{cut("withdrawals"), "withdrawals, blobGasUsed or"},
		{strings.Replace(string(raw), `"withdrawals":[]`, `"withdrawals":[{}]`, 1), "1 withdrawals"},
		{strings.Replace(string(raw), `"extraData":"0x`, `"extraData":"0x`+strings.Repeat("00", 33), 1), "at most 32"},
	} {
		var back codec.Envelope
		if err := json.Unmarshal([]byte(tt.text), &back); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.200s: %v, want %q", tt.text, err, tt.want)
		}
	}
	e.Withdrawals = make([]byte, 44)
	if _, err := json.Marshal(e); err == nil {
		t.Error("withdrawals are written")
	}
}

// FuzzPayloadJSON checks that what is read is written as it was meant.
func FuzzPayloadJSON(f *testing.F) {
	vs, _ := golden(f)
	for _, v := range vs {
		e, err := codec.DecodeEnvelope(v.envelope(), v.version)
		if err != nil {
			f.Fatal(err)
		}
		raw, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var e, back codec.Envelope
		if json.Unmarshal(in, &e) != nil {
			return
		}
		raw, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &back); err != nil || !bytes.Equal(codec.AppendEnvelope(nil, &back), codec.AppendEnvelope(nil, &e)) {
			t.Fatalf("%s is read back otherwise: %v", raw, err)
		}
	})
}
