package opstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// question is a call as an execution client gets it.
type question struct {
	Method string
	Params []json.RawMessage
}

// authrpc is an execution client's Engine API: it takes calls with a token of
// the secret, and answers what answer says.
func authrpc(t *testing.T, secret jwt.Secret, answer func(q question) string) (endpoint string) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if err := secret.Check(token, time.Now()); !ok || err != nil {
			http.Error(w, "stale token", http.StatusUnauthorized)
			return
		}
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, answer(q))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func engine(t *testing.T, endpoint string, secret jwt.Secret) *opstack.Engine {
	t.Helper()
	e, err := opstack.NewEngine(endpoint, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

const (
	isValid  = `{"jsonrpc":"2.0","id":1,"result":{"status":"VALID","latestValidHash":null,"validationError":null}}`
	isChosen = `{"jsonrpc":"2.0","id":1,"result":{"payloadStatus":{"status":"SYNCING","latestValidHash":null,"validationError":null},"payloadId":null}}`
)

// A payload goes out as its fork has it: the version of the method, the params
// and the fields (execution-apis, src/engine; OP Stack specs, exec-engine).
func TestPayloadsGoOutAsTheirForkHasThem(t *testing.T) {
	secret := jwt.Secret{1}
	var asked question
	e := engine(t, authrpc(t, secret, func(q question) string {
		asked = q
		if strings.HasPrefix(q.Method, "engine_forkchoice") {
			return isChosen
		}
		return isValid
	}), secret)
	fields := []string{"baseFeePerGas", "blockHash", "blockNumber", "extraData", "feeRecipient", "gasLimit", "gasUsed", "logsBloom", "parentHash", "prevRandao", "receiptsRoot", "stateRoot", "timestamp", "transactions"}
	more := [][]string{codec.V1: nil, codec.V2: {"withdrawals"}, codec.V3: {"blobGasUsed", "excessBlobGas"}, codec.V4: {"withdrawalsRoot"}}
	for _, b := range blocks(t, family(t), 10) {
		p, err := codec.EnvelopeOf(b)
		if err != nil {
			t.Fatal(err)
		}
		v := p.Version
		if st, err := e.NewPayload(t.Context(), p); err != nil || st.Status != opstack.StatusValid {
			t.Fatalf("%v: %+v, %v", v, st, err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(asked.Params[0], &got); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(fields)
		for k := codec.V1; k <= v; k++ {
			want = append(want, more[k]...)
		}
		slices.Sort(want)
		var names []string
		for name := range got {
			names = append(names, name)
		}
		slices.Sort(names)
		params := []int{codec.V1: 1, codec.V2: 1, codec.V3: 3, codec.V4: 4}[v]
		if asked.Method != fmt.Sprintf("engine_newPayloadV%d", v) || len(asked.Params) != params || !slices.Equal(names, want) {
			t.Errorf("%v went out as %s with %d params and the fields %v, want %d and %v", v, asked.Method, len(asked.Params), names, params, want)
		}
		if string(got["blockNumber"]) != fmt.Sprintf(`"%#x"`, p.Number) || string(got["blockHash"]) != fmt.Sprintf("%q", p.BlockHash) || string(got["baseFeePerGas"]) != `"0x3b9aca00"` || len(got["logsBloom"]) != 2+2+512 || !strings.HasPrefix(string(got["transactions"]), `["0x02`) {
			t.Errorf("%v: %s", v, asked.Params[0])
		}
		if v >= codec.V3 && (string(asked.Params[1]) != "[]" || string(asked.Params[2]) != fmt.Sprintf("%q", p.BeaconRoot) || string(got["withdrawals"]) != "[]") {
			t.Errorf("%v: %s", v, asked.Params)
		}
		if v == codec.V4 && (string(asked.Params[3]) != "[]" || string(got["withdrawalsRoot"]) != fmt.Sprintf("%q", p.WithdrawalsRoot)) {
			t.Errorf("%v: %s", v, asked.Params)
		}
		st, err := e.Forkchoice(t.Context(), v, p.BlockHash, chain.Hash{2}, chain.Hash{3})
		if err != nil || st.Status != opstack.StatusSyncing || asked.Method != fmt.Sprintf("engine_forkchoiceUpdatedV%d", min(v, 3)) || string(asked.Params[1]) != "null" ||
			string(asked.Params[0]) != fmt.Sprintf(`{"finalizedBlockHash":%q,"headBlockHash":%q,"safeBlockHash":%q}`, chain.Hash{3}, p.BlockHash, chain.Hash{2}) {
			t.Errorf("%v: %s %s: %+v, %v", v, asked.Method, asked.Params, st, err)
		}
	}
}

// Each way in which a client can be the wrong one, or not there, has its name
// and says what to do; none stops the feeder. Threat A-04 from the other side: no
// error repeats a token or the secret.
func TestWhatIsWrongWithAClientIsNamed(t *testing.T) {
	secret := jwt.Secret{0xab, 0xab}
	says := func(text string) string { return authrpc(t, secret, func(question) string { return text }) }
	fails := func(code int, text string) string {
		return says(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":%q}}`, code, text)) // %q is JSON for these
	}
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	shy, err := net.Listen("tcp", "127.0.0.1:0") // the port of its peers, say
	if err != nil {
		t.Fatal(err)
	}
	defer shy.Close()
	go func() {
		for {
			c, err := shy.Accept()
			if err != nil {
				return
			}
			c.Write([]byte{0xff, 0, 1, 2})
			c.Close()
		}
	}()
	for _, tt := range []struct{ name, endpoint, code, remedy string }{
		{"another secret", authrpc(t, jwt.Secret{7}, func(question) string { return isValid }), opstack.FeedDenied, "engine_jwt"},
		{"nobody there", "http://" + gone.Addr().String(), opstack.FeedUnreachable, "authrpc"},
		{"the port of its peers", "http://" + shy.Addr().String(), opstack.FeedUnreachable, "authrpc"},
		{"the port of its public RPC", fails(-32601, "the method engine_newPayloadV4 does not exist/is not available"), opstack.FeedNoEngine, "8551"},
		{"a web server", says("<html>It works!</html>"), opstack.FeedNoEngine, "8551"},
		{"something with JSON", says(`{"jsonrpc":"2.0","id":1,"result":{"ok":true}}`), opstack.FeedNoEngine, "8551"},
		{"another fork", fails(-38005, "Unsupported fork"), opstack.FeedFork, "forks"},
		{"another final block", fails(-38002, "Invalid forkchoice state"), opstack.FeedFailed, "branch"},
		{"a database that fails", fails(-32000, "leveldb: closed\u202e"), opstack.FeedFailed, "log"},
		{"a block that is wrong", says(`{"jsonrpc":"2.0","id":1,"result":{"status":"INVALID_BLOCK_HASH"}}`), opstack.FeedInvalid, "version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := stateOf(t, engine(t, tt.endpoint, secret))
			if st.Code != tt.code || !strings.Contains(st.Remedy, tt.remedy) || !strings.Contains(st.Cause, "127.0.0.1") || st.Detail == "" || !st.Trouble() {
				t.Errorf("state %+v, want %s and a remedy with %q", st, tt.code, tt.remedy)
			}
			if text := st.Cause + st.Remedy + st.Detail; strings.Contains(text, "abab") || strings.Contains(text, "eyJ") || strings.Contains(text, "\u202e") {
				t.Errorf("it shows too much: %q", text)
			}
		})
	}
}

// stateOf is what a feeder finds of a client with its first block.
func stateOf(t *testing.T, e *opstack.Engine) opstack.FeedState {
	t.Helper()
	fam := family(t)
	l, err := ledger.Open("chain", ledger.Options{Family: fam, FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Import(t.Context(), blocks(t, fam, 8)); err != nil {
		t.Fatal(err)
	}
	told := make(tell, 8)
	f, err := opstack.NewFeeder(opstack.FeederConfig{Engine: e, Chain: l, Logger: slog.New(slog.NewTextHandler(told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	select {
	case <-told:
	case <-ctx.Done():
		t.Error("the log is not told")
	}
	cancel()
	<-done
	return f.State()
}

// tell is a log that tells of its lines.
type tell chan struct{}

func (l tell) Write(b []byte) (int, error) {
	l <- struct{}{}
	return len(b), nil
}

// An answer has a bound, and one that never ends costs no more than that.
func TestALongAnswerIsCut(t *testing.T) {
	secret := jwt.Secret{1}
	long := strings.Repeat("x", 9<<20)
	e := engine(t, authrpc(t, secret, func(question) string { return `{"jsonrpc":"2.0","id":1,"result":"` + long + `"}` }), secret)
	if _, err := e.Head(t.Context()); err == nil || len(err.Error()) > 200 {
		t.Errorf("an answer of 9 MiB: %.300v", err)
	}
	e = engine(t, authrpc(t, secret, func(q question) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"number":"0x7","hash":"%v","transactions":["%s"]}}`, chain.Hash{7}, long[:4<<20])
	}), secret)
	if got, err := e.Head(t.Context()); err != nil || got != (chain.Ref{Number: 7, Hash: chain.Hash{7}}) {
		t.Errorf("a block with many transactions: %v, %v", got, err)
	}
	e = engine(t, authrpc(t, secret, func(question) string { return `{"jsonrpc":"2.0","id":1,"result":null}` }), secret)
	if _, there, err := e.Block(t.Context(), 9); there || err != nil {
		t.Errorf("a block that it has not: %v, %v", there, err)
	}
}
