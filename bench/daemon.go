package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// daemon is a "starling run" that runs.
type daemon struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	ready event
	said  bytes.Buffer // on its standard error; whole once it is gone
}

// event is a line that it prints.
type event struct {
	Event  string   `json:"event"`
	Addrs  []string `json:"addrs"`
	RPC    string   `json:"rpc"`
	Socket string   `json:"socket"`
	Number uint64   `json:"number"`
}

// startDaemon starts one and blocks until it is ready.
func startDaemon(ctx context.Context, binary, config string) (*daemon, error) {
	d := &daemon{cmd: exec.CommandContext(ctx, binary, "run", "--config", config, "--json")}
	d.cmd.Stderr = &d.said
	d.cmd.WaitDelay = 5 * time.Second
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.lines = bufio.NewScanner(out)
	d.lines.Buffer(nil, 1<<20)
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	d.ready, err = d.next(func(ev event) bool { return ev.Event == "ready" })
	if err != nil {
		return nil, errors.Join(err, d.end())
	}
	return d, nil
}

// next blocks for an event that fits.
func (d *daemon) next(fits func(event) bool) (ev event, err error) {
	for d.lines.Scan() {
		ev = event{}
		if json.Unmarshal(d.lines.Bytes(), &ev) == nil && fits(ev) {
			return ev, nil
		}
	}
	return ev, errors.Join(errors.New("bench: a daemon ended too early"), d.lines.Err())
}

// await blocks until its head has that number at least.
func (d *daemon) await(number uint64) error {
	_, err := d.next(func(ev event) bool { return ev.Event == "head" && ev.Number >= number })
	return err
}

// connect has it dial an address, over its unix socket.
func (d *daemon) connect(ctx context.Context, address string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", d.ready.Socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://starling/", strings.NewReader(call("starling_connect", `["`+address+`"]`)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && !strings.Contains(string(text), `"result":true`) {
		err = fmt.Errorf("bench: a daemon did not connect: %s", text)
	}
	return err
}

// end stops it and waits until it is gone.
func (d *daemon) end() error {
	d.cmd.Process.Signal(syscall.SIGTERM)
	for d.lines.Scan() {
	}
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("bench: a daemon: %w: %s", err, d.said.Bytes())
	}
	return nil
}
