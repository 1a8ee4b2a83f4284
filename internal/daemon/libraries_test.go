package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	golog "github.com/ipfs/go-log/v2"
)

// asChild is set in a process of its own that this test starts: the libraries'
// loggers keep the first handler that a process gives them.
const asChild = "STARLING_TEST_LIBRARIES"

// go-libp2p's loggers (slog) and Kademlia's (go-log) write into the node's log,
// at the level of the part libp2p.
func TestLibrariesWriteIntoTheNodesLog(t *testing.T) {
	if os.Getenv(asChild) != "" {
		cfg := newConfig(t)
		cfg.LogLevels = map[string]string{"libp2p": "debug"}
		cfg.LogLevel = "error"
		ctx, stop := context.WithTimeout(t.Context(), limit)
		defer stop()
		if err := Run(ctx, cfg, Output{Err: os.Stderr, OnEvent: func(ev Event) {
			if ev.Event == EventHead {
				golog.Logger("dht").Infow("as Kademlia does", "n", 1)
				stop()
			}
		}}); err != nil {
			t.Error(err)
		}
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLibrariesWriteIntoTheNodesLog$")
	cmd.Env = append(os.Environ(), asChild+"=1", "GOLOG_LOG_LEVEL=")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	loggers := map[any]bool{}
	for line := range bytes.Lines(out.Bytes()) {
		var entry map[string]any
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatalf("a line that is no JSON: %s", line)
		}
		if entry["part"] != "libp2p" {
			t.Errorf("a line of another part: %s", line)
		}
		loggers[entry["logger"]] = true
	}
	if len(loggers) < 2 || !loggers["dht"] || !loggers["basichost"] {
		t.Errorf("loggers that wrote: %v, want Kademlia's and others'\n%s", loggers, out.String())
	}
}
