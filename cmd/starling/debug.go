package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/eventlog"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/rpc"
)

func debugCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "debug", Category: categoryTool, Usage: "look inside a running node, and collect what helps others to help",
		Commands: []*cli.Command{debugDumpCommand(datadir), debugProfileCommand(datadir), debugRecordCommand(datadir)},
	}
}

// makeFile makes a new file for its owner alone and overwrites nothing.
func makeFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, &usageError{fmt.Errorf("%s exists already and is left as it is; choose another name with --out", path)}
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("%w; choose another place with --out", err)}
	}
	return f, nil
}

func outFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "out", Usage: usage, TakesFile: true}
}

// outName is the file that --out names, or one with the time in its name.
func outName(cmd *cli.Command, kind, end string) string {
	if out := cmd.String("out"); out != "" {
		return out
	}
	return fmt.Sprintf("starling-%s-%s%s", kind, time.Now().UTC().Format("20060102T150405Z"), end)
}

func debugDumpCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "dump", Usage: "write all that is known of a running node into one file",
		Description: "A tar.gz with status, peers, bans, reasons, metrics, goroutines, a heap profile, the config and the version. No key and no\n" +
			"token is in it; addresses of peers are. What the node does not answer is named in errors.txt.",
		Flags: actFlags(datadir, outFlag("the `FILE` to write; left out: starling-dump-TIME.tar.gz here")),
		Action: onNode(nil, func(ctx context.Context, cmd *cli.Command, n *node) error {
			path := outName(cmd, "dump", ".tar.gz")
			f, err := makeFile(path)
			if err != nil {
				return err
			}
			names, err := dump(ctx, n, f)
			if err = errors.Join(err, f.Close()); err != nil {
				os.Remove(path)
				return err
			}
			return done(cmd, fmt.Sprintf("wrote %s: %s", path, strings.Join(names, ", ")), map[string]any{"file": path, "holds": names})
		}),
	}
}

// profileKinds are the profiles that a node gives; those of package
// runtime/pprof, and cpu and trace, which take time.
func profileKinds() []string {
	return []string{"cpu", "trace", "heap", "allocs", "goroutine", "block", "mutex", "threadcreate"}
}

// maxGot bounds what is fetched at once, in bytes.
const maxGot = 256 << 20

// get fetches a page over the node's socket.
func (n *node) get(ctx context.Context, path string) ([]byte, error) {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", daemon.SocketPath(n.dir))
	}}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", rpc.ErrUnreachable, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxGot))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s was answered with %s: %.200s", path, res.Status, strings.TrimSpace(string(raw)))
	}
	return raw, err
}

// profile fetches a profile. Those that take time watch for d.
func (n *node) profile(ctx context.Context, kind string, d time.Duration) ([]byte, error) {
	seconds := max(1, int(d/time.Second))
	ctx, cancel := context.WithTimeout(ctx, askTimeout+d)
	defer cancel()
	switch kind {
	case "cpu":
		return n.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds))
	case "trace":
		return n.get(ctx, fmt.Sprintf("/debug/pprof/trace?seconds=%d", seconds))
	case "goroutine":
		return n.get(ctx, "/debug/pprof/goroutine?debug=2")
	}
	return n.get(ctx, "/debug/pprof/"+kind)
}

// dump writes the archive and gives what is in it.
func dump(ctx context.Context, n *node, to io.Writer) (names []string, err error) {
	zip := gzip.NewWriter(to)
	tw := tar.NewWriter(zip)
	add := func(name string, content []byte) {
		if err != nil {
			return
		}
		if err = tw.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: time.Now()}); err == nil {
			_, err = tw.Write(content)
		}
		names = append(names, name)
	}
	var missing strings.Builder
	for _, q := range []struct {
		name string
		get  func() ([]byte, error)
	}{
		{"status.json", n.document(ctx, "starling_status")},
		{"peers.json", n.document(ctx, "starling_peers")},
		{"bans.json", n.document(ctx, "starling_bans")},
		{"why.json", n.document(ctx, "starling_why")},
		{"doctor.json", n.document(ctx, "starling_doctor")},
		{"caps.json", n.document(ctx, "starling_caps")},
		{"metrics.txt", func() ([]byte, error) { return n.get(ctx, "/metrics") }},
		{"goroutines.txt", func() ([]byte, error) { return n.profile(ctx, "goroutine", 0) }},
		{"heap.pprof", func() ([]byte, error) { return n.profile(ctx, "heap", 0) }},
	} {
		raw, gerr := q.get()
		if gerr != nil {
			fmt.Fprintf(&missing, "%s: %v\n", q.name, gerr)
			continue
		}
		add(q.name, raw)
	}
	var cfg daemon.ConfigReply
	cerr := n.call(ctx, "starling_config", &cfg)
	if cerr == nil {
		var b bytes.Buffer
		cerr = printValues(&b, cfg.Values)
		add("config.txt", b.Bytes())
	}
	if cerr != nil {
		fmt.Fprintf(&missing, "config.txt: %v\n", cerr)
	}
	add("version.txt", fmt.Appendf(nil, "starling %s (%s), %s %s/%s\n", version(), commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
	if missing.Len() > 0 {
		add("errors.txt", []byte(missing.String()))
	}
	return names, errors.Join(err, tw.Close(), zip.Close())
}

// document asks for an answer as the archive holds it.
func (n *node) document(ctx context.Context, method string) func() ([]byte, error) {
	return func() ([]byte, error) {
		var raw json.RawMessage
		if err := n.call(ctx, method, &raw); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		err := json.Indent(&b, raw, "", "  ")
		return append(b.Bytes(), '\n'), err
	}
}

// maxProfile bounds how long a node is watched.
const maxProfile = 5 * time.Minute

func debugProfileCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "profile", Usage: "fetch a profile of a running node", ArgsUsage: "[" + strings.Join(profileKinds(), "|") + "]",
		Description: "Read it with \"go tool pprof FILE\", a trace with \"go tool trace FILE\". Goroutines come as text.",
		Flags: actFlags(datadir,
			&cli.DurationFlag{Name: "for", Usage: "how long to watch, for cpu and trace", Value: 10 * time.Second},
			outFlag("the `FILE` to write; left out: starling-KIND-TIME.pprof here")),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() > 1 {
				return &usageError{fmt.Errorf("profile wants one kind, got %d; one of %s", cmd.Args().Len(), strings.Join(profileKinds(), ", "))}
			}
			kind := cmd.Args().First()
			if kind == "" {
				kind = "cpu"
			}
			if d := cmd.Duration("for"); d < time.Second || d > maxProfile {
				return &usageError{fmt.Errorf("--for is %v, want 1s to %v", d, maxProfile)}
			}
			if !slices.Contains(profileKinds(), kind) {
				return &usageError{fmt.Errorf("there is no profile %.40q; it is one of %s", kind, strings.Join(profileKinds(), ", "))}
			}
			n, err := reach(ctx, cmd)
			if err != nil {
				return err
			}
			defer n.close()
			raw, err := n.profile(ctx, kind, cmd.Duration("for"))
			if err != nil {
				return err
			}
			end := ".pprof"
			if kind == "goroutine" {
				end = ".txt"
			}
			path := outName(cmd, kind, end)
			f, err := makeFile(path)
			if err != nil {
				return err
			}
			_, err = f.Write(raw)
			if err = errors.Join(err, f.Close()); err != nil {
				return err
			}
			return done(cmd, "wrote "+path, map[string]any{"file": path, "kind": kind, "bytes": len(raw)})
		},
	}
}

func debugRecordCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "record", Usage: "have a running node write its events into a file",
		Description: "The file lies in the datadir, in recordings/; its form has a version. Without --for it holds what the node remembers now.",
		Flags: actFlags(datadir,
			&cli.DurationFlag{Name: "for", Usage: "go on for that long; Ctrl-C ends it earlier", HideDefault: true},
			&cli.StringFlag{Name: "size", Usage: "the most that is written, as in \"16MiB\""}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			var size daemon.Size
			if text := cmd.String("size"); text != "" {
				if err := size.UnmarshalText([]byte(text)); err != nil {
					return &usageError{fmt.Errorf("--size: %w", err)}
				}
			}
			d := cmd.Duration("for")
			if d < 0 || d > 0 && d < time.Second || d > eventlog.MaxRecordFor {
				return &usageError{fmt.Errorf("--for is %v, want 1s to %v", d, eventlog.MaxRecordFor)}
			}
			n, err := reach(ctx, cmd)
			if err != nil {
				return err
			}
			defer n.close()
			var r daemon.RecordReply
			if err := n.call(ctx, "starling_record", &r, int64(d/time.Second), int64(size)); err != nil {
				return err
			}
			if d > 0 {
				fmt.Fprintf(cmd.Root().ErrWriter, "recording into %s until %s; Ctrl-C ends it\n", r.File, r.Until.Local().Format(time.TimeOnly))
				pause.For(ctx, time.Until(r.Until))
				if err := n.call(context.WithoutCancel(ctx), "starling_recordStop", &r); err != nil {
					return err
				}
			}
			if cmd.Bool("json") {
				return printJSON(cmd.Root().Writer, r)
			}
			if r.Error != "" {
				return errors.New(r.Error)
			}
			_, err = fmt.Fprintf(cmd.Root().Writer, "wrote %s: %d events, %d bytes\n", r.File, r.Records, r.Bytes)
			return err
		},
	}
}
