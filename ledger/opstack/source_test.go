package opstack_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// The account lies in the low 20 bytes of the slot that SystemConfig keeps it
// in, and is read as of the confirmation depth.
func TestTheSignerIsReadFromL1(t *testing.T) {
	contract, err := codec.ParseAddress("0x229047fed2591dbec1eF1118d64F7aF3dB9EB290")
	if err != nil {
		t.Fatal(err)
	}
	want := key(t, 5).Address()
	slot := func(a codec.Address) string { return fmt.Sprintf(`"0x%064x"`, a[:]) }
	value := slot(want)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Method string
			Params []string
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		switch q.Method {
		case "eth_blockNumber":
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"0x112"}`)
		case "eth_getStorageAt":
			if len(q.Params) != 3 || q.Params[0] != contract.String() || q.Params[1] != "0x65a7ed542fb37fe237fdfbdd70b31598523fe5b32879e307bae27a0bd9581c08" || q.Params[2] != "0x108" {
				t.Errorf("params %v", q.Params)
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":%s}`, value)
		}
	}))
	defer srv.Close()
	s, err := opstack.NewL1Source(srv.URL+"/v3/secret", contract, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Signer(t.Context()); err != nil || got != want {
		t.Errorf("Signer = %v, %v; want %v", got, err, want)
	}
	for _, value = range []string{slot(codec.Address{}), `"0x01"`, fmt.Sprintf(`"0x%064s"`, strings.Repeat("f", 64)), `null`, `"nonsense"`} {
		if got, err := s.Signer(t.Context()); err == nil || got != (codec.Address{}) || strings.Contains(err.Error(), "secret") {
			t.Errorf("a slot with %s: %v, %v", value, got, err)
		}
	}
	srv.Close()
	if _, err := s.Signer(t.Context()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v; want an error without the endpoint's path", err)
	}
}

func TestTheSignerIsReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signer")
	s := opstack.FileSource{Path: path}
	if _, err := s.Signer(t.Context()); err == nil {
		t.Error("no file: no error")
	}
	want := key(t, 5).Address()
	if err := os.WriteFile(path, []byte(want.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Signer(t.Context()); err != nil || got != want {
		t.Errorf("Signer = %v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nobody"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Signer(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("nonsense: %v", err)
	}
}

// script answers as told, and counts.
type script struct {
	say   func(asked int) (codec.Address, error)
	asked atomic.Int64
}

func (s *script) Signer(context.Context) (codec.Address, error) {
	return s.say(int(s.asked.Add(1)))
}

// Threat G-09: a rotation is followed, and a source that fails changes nothing.
func TestTheSignerIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := key(t, 1).Address(), key(t, 2).Address()
		s := &script{say: func(n int) (codec.Address, error) {
			switch {
			case n < 3:
				return codec.Address{}, errors.New("not yet")
			case n < 5:
				return a, nil
			case n == 5:
				return codec.Address{}, errors.New("down")
			}
			return b, nil
		}}
		var signers rules.Signers
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- opstack.WatchSigner(ctx, s, opstack.L1Every, &signers, nil) }()
		at := func(d time.Duration, want codec.Address, asked int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if got := signers.Current(); got != want || s.asked.Load() != int64(asked) {
				t.Errorf("signer %v after %d questions, want %v after %d", got, s.asked.Load(), want, asked)
			}
		}
		at(time.Second, codec.Address{}, 1)
		at(5*time.Second, codec.Address{}, 2) // again after 5 s
		at(10*time.Second, a, 3)              // and after 10 s
		at(opstack.L1Every, a, 4)
		at(opstack.L1Every, a, 5) // down: nothing changes
		at(6*time.Second, b, 6)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("WatchSigner = %v", err)
		}
	})
}
