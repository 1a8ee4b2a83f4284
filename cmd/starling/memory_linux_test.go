package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/starlingp2p/starling/internal/daemon"
	"github.com/starlingp2p/starling/internal/devnet"
	"github.com/starlingp2p/starling/internal/pause"
)

// glutton is a peer that makes a node hold as much memory as it can.
type glutton struct {
	host host.Host
	to   libpeer.AddrInfo
	says []byte // a Status without its time
}

// statusProtocol and requestProtocol are the native wire's: docs/wire/native.md,
// section 1.
const (
	statusProtocol  = "/starling/status/1"
	requestProtocol = "/starling/request/1"
)

func newGlutton(t *testing.T, st daemon.StatusReply, addr string) *glutton {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	info, err := libpeer.AddrInfoFromString(addr)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := hex.DecodeString(strings.TrimPrefix(st.Genesis, "0x"))
	if err != nil {
		t.Fatal(err)
	}
	says := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // version
	says = protowire.AppendString(protowire.AppendTag(says, 2, protowire.BytesType), st.Network)
	says = protowire.AppendBytes(protowire.AppendTag(says, 3, protowire.BytesType), genesis)
	return &glutton{host: h, to: *info, says: says}
}

// shake sends a Status and reads the answer to it: section 4.
func (g *glutton) shake(s network.Stream) error {
	says := protowire.AppendTag(g.says[:len(g.says):len(g.says)], 7, protowire.VarintType)
	says = protowire.AppendVarint(says, uint64(time.Now().UnixMilli()))
	s.Write(protowire.AppendBytes(nil, says)) // a frame is bytes behind their length
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(s)
	n, err := binary.ReadUvarint(in)
	if err == nil {
		_, err = in.Discard(int(min(n, 4<<10)))
	}
	return err
}

// feed has a session as often as it is let, until ctx ends.
func (g *glutton) feed(ctx context.Context) {
	defer g.host.Close()
	for ctx.Err() == nil {
		if g.host.Connect(ctx, g.to) == nil {
			g.session(ctx)
		}
		g.host.Network().ClosePeer(g.to.ID)
		pause.For(ctx, 200*time.Millisecond)
	}
}

func (g *glutton) session(ctx context.Context) {
	open := func(p string) network.Stream {
		s, err := g.host.NewStream(ctx, g.to.ID, protocol.ID(p))
		if err != nil {
			return nil
		}
		return s
	}
	s := open(statusProtocol)
	if s == nil {
		return
	}
	if g.shake(s) != nil {
		return
	}
	most := make([]byte, 9<<20)
	var all sync.WaitGroup
	defer all.Wait()
	for range 2 { // gossip that never ends
		all.Go(func() {
			if s := open("/meshsub/1.1.0"); s != nil {
				s.SetWriteDeadline(time.Now().Add(20 * time.Second))
				s.Write(binary.AppendUvarint(nil, 10<<20))
				s.Write(most)
			}
		})
	}
	for range 16 { // requests that never end
		all.Go(func() {
			if s := open(requestProtocol); s != nil {
				s.SetWriteDeadline(time.Now().Add(20 * time.Second))
				s.Write(binary.AppendUvarint(nil, 1<<20))
				s.Write(most[:1<<20])
			}
		})
	}
	for range 20 {
		if len(g.host.Network().ConnsToPeer(g.to.ID)) == 0 || ctx.Err() != nil {
			return
		}
		pause.For(ctx, time.Second)
	}
}

// Fifty peers feed a node whose limit is 256 MiB with all that it lets them:
// frames of gossip and requests that never end. The node never holds more than nine tenths of its limit, and goes on to follow its
// chain. Threat row C-03. In place of a control group, which needs rights, the
// runtime has the limit that the program sets itself in such a group, and the
// peak of resident memory is the kernel's count.
func TestFiftyGluttonsDoNotExhaustMemory(t *testing.T) {
	const most = 256 << 20
	dir := t.TempDir()
	script := filepath.Join(dir, "limited")
	text := fmt.Sprintf("#!/bin/sh\necho $$ > '%s/'$(basename $(dirname \"$3\")).pid\nexec '%s' \"$@\"\n", dir, os.Args[0])
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	net, err := devnet.New(devnet.Options{
		Nodes: 2, Dir: filepath.Join(dir, "net"), BlockInterval: 200 * time.Millisecond,
		Binary: script, Env: []string{asProgram + "=1", "GOMEMLIMIT=170MiB"},
		Edit: func(_ int, cfg *daemon.Config) { cfg.Networks[0].MaxPeers, cfg.Networks[0].MaxInbound = 90, 60 },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for i := range net.Len() {
		if err := net.Node(i).Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	victim := net.Node(1)
	if err := victim.Await(ctx, "a block", func(s daemon.StatusReply) bool { return s.Head.Number >= 3 }); err != nil {
		t.Fatal(err)
	}
	st, err := victim.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var addr string
	for _, a := range st.Addrs {
		if strings.Contains(a, "/tcp/") {
			addr = a
		}
	}
	pid := filepath.Join(dir, victim.Name()+".pid")
	before := peakRSS(t, pid)
	feast, end := context.WithCancel(ctx)
	defer end()
	var gluttons sync.WaitGroup
	defer gluttons.Wait()
	for range 50 {
		g := newGlutton(t, st, addr)
		gluttons.Go(func() { g.feed(feast) })
	}
	met := 0
	from := victim.Acked()
	for victim.Acked() < from+20 {
		s, err := victim.Status(ctx)
		if err != nil {
			t.Fatalf("the head stands at %d, %d before: %v\n%s", victim.Acked(), from, err, victim.Stderr())
		}
		met = max(met, s.Inbound)
		pause.For(ctx, 100*time.Millisecond)
	}
	after := peakRSS(t, pid)
	end()
	gluttons.Wait()
	t.Logf("up to %d sessions of strangers, resident memory at most %d MiB, %d before", met, after>>20, before>>20)
	if met < 10 {
		t.Errorf("at most %d sessions of strangers: there was no feast", met)
	}
	if after > most/10*9 {
		t.Errorf("resident memory was %d MiB, want at most nine tenths of %d MiB", after>>20, most>>20)
	}
	if err := equalHeads(ctx, net); err != nil {
		t.Error(err)
	}
}

// peakRSS is the most resident memory that the process whose number is in a
// file ever had, in bytes, but for the pages of the program's own file, which
// the kernel takes back when memory is short.
func peakRSS(t *testing.T, pidFile string) int {
	t.Helper()
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	field := func(name string) int {
		for _, line := range strings.Split(string(b), "\n") {
			if f := strings.Fields(line); len(f) == 3 && f[0] == name {
				kib, err := strconv.Atoi(f[1])
				if err != nil || kib > math.MaxInt>>10 {
					t.Fatalf("%q: %v", line, err)
				}
				return kib << 10
			}
		}
		t.Fatalf("the kernel does not tell %s", name)
		return 0
	}
	return field("VmHWM:") - field("RssFile:")
}
