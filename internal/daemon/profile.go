package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/rpc"
)

// ProfileReply answers starling_profile.
type ProfileReply struct {
	V    int    `json:"v"`
	Kind string `json:"kind"`
	Data []byte `json:"data"` // as pprof reads it; goroutines as text
}

// maxProfileTime bounds a CPU profile; a call may take a minute.
const maxProfileTime = 50 * time.Second

// maxProfileBytes bounds a profile, so that the answer fits.
const maxProfileBytes = 16 << 20

// ProfileKinds are the kinds of profiles that a node gives.
func ProfileKinds() []string {
	return []string{"cpu", "heap", "allocs", "goroutine", "block", "mutex", "threadcreate"}
}

// callProfile takes a kind and, for cpu, seconds (0: 10). It changes nothing,
// but it costs: whoever may only read cannot ask for it.
func (n *Node) callProfile(ctx context.Context, params json.RawMessage) (any, error) {
	var (
		kind    string
		seconds int64
	)
	if err := rpc.Params(params, &kind, &seconds); err != nil {
		return nil, err
	}
	if !slices.Contains(ProfileKinds(), kind) {
		return nil, rpc.BadParams("profile %.40q, want one of %s", kind, strings.Join(ProfileKinds(), ", "))
	}
	if seconds < 0 || seconds > int64(maxProfileTime/time.Second) {
		return nil, rpc.BadParams("a profile of %d seconds, want 0 to %d", seconds, int64(maxProfileTime/time.Second))
	}
	var b bytes.Buffer
	if kind == "cpu" {
		if seconds == 0 {
			seconds = 10
		}
		if err := pprof.StartCPUProfile(&b); err != nil {
			return nil, fmt.Errorf("%w; another profile is under way, try again when it has ended", err)
		}
		t := time.NewTimer(time.Duration(seconds) * time.Second)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		pprof.StopCPUProfile()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	} else {
		debug := 0
		if kind == "goroutine" {
			debug = 2
		}
		if err := pprof.Lookup(kind).WriteTo(&b, debug); err != nil {
			return nil, err
		}
	}
	if b.Len() > maxProfileBytes {
		if kind != "goroutine" {
			return nil, fmt.Errorf("the profile has %d bytes, at most %d are given", b.Len(), maxProfileBytes)
		}
		b.Truncate(maxProfileBytes)
	}
	return ProfileReply{V: 1, Kind: kind, Data: b.Bytes()}, nil
}
