package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

const (
	// key is the lone bookkeeper's.
	key = "00000000000000000000000000000000000000000000000000000000000a11ce"
	// patience is for whatever a process of v1.0.0 does: it makes a chain at
	// 20 to 200 blocks a second.
	patience = 20 * time.Minute
)

// v1 is a process of the real v1.0.0.
type v1 struct {
	*steertest.Process[struct{}]
	addr string
	said struct{ Genesis, Head string }
}

// startV1 runs one in a folder, on a port that is free now.
func startV1(binary, dir string, params map[string]any) (*v1, error) {
	port, err := steertest.FreePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p, err := steertest.Start[struct{}]("v1.0.0", binary, patience)
	if err != nil {
		return nil, err
	}
	all := map[string]any{"dir": dir, "magic": magic, "port": port, "keys": []string{key}}
	for k, v := range params {
		all[k] = v
	}
	v := &v1{Process: p, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	if err := p.Try(map[string]any{"do": "start", "params": all}, &v.said); err != nil {
		p.Stop()
		return nil, fmt.Errorf("bench: v1.0.0: %w", err)
	}
	return v, nil
}

// download has a fresh v1.0.0 sync from addr, and times its first block to its
// last.
func download(ctx context.Context, binary, dir, addr string, count int) (took time.Duration, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := startV1(binary, dir, map[string]any{"seeds": []string{addr}})
	if err != nil {
		return 0, err
	}
	defer p.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var began time.Time
	first := 0
	for {
		var h struct{ Blocks int }
		if err := p.Try(map[string]any{"do": "height"}, &h); err != nil {
			return 0, err
		}
		if began.IsZero() && h.Blocks > 0 {
			began, first = time.Now(), h.Blocks
		}
		if h.Blocks >= count { // as if those before the first look had come at the same pace
			return time.Since(began) * time.Duration(count) / time.Duration(count-first), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
