package rpc_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/rpc"
)

// What callers do is counted by fixed names, whatever they call.
func TestWhatCallersDoIsCounted(t *testing.T) {
	ms := append(methods(), starling.Method{Name: "change", Write: true, Call: func(context.Context, rawJSON) (any, error) { return true, nil }})
	var server *rpc.Server
	url := web(t, ms, rpc.TCP{Open: true, Token: token, Rate: 1000}, func(s *rpc.Server) { server = s })
	post(t, url, `{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`)
	post(t, url, `{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`)
	post(t, url, `{"jsonrpc":"2.0","id":1,"method":"change"}`)
	for _, name := range []string{"nope", "a\nb", strings.Repeat("x", 200)} {
		post(t, url, `{"jsonrpc":"2.0","id":1,"method":`+quoted(t, name)+`}`)
	}
	post(t, url, `{}`, "Host", "evil.example")
	post(t, url, `{}`, "Origin", "https://evil.example")
	post(t, url, `{}`, "Authorization", "Bearer wrong")
	got := server.Counters()
	for name, want := range map[string]uint64{
		"call-ok": 2, "call-denied": 1, "call-invalid": 3, "host-denied": 1, "origin-denied": 1, "token-denied": 1,
	} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
	if len(got) != 6 {
		t.Errorf("counters = %v, want six names", got)
	}
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
