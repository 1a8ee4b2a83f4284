package swarm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// TestConversations plays testdata/talk/*.txt. Each command is something that
// happens to the table; what it did about it is printed below, with the time
// since the start.
//
//	table [max=N] [inbound=N] [static=ADDR] [seeds=ADDR,…] [rule=first|address]
//	host ID IP:PORT [refuse=REASON]   a peer that answers dials; gone: it no longer does
//	call ID IP:PORT                   an inbound session; hangup ID: it ends
//	found ADDR…   connect ADDR   offend ID OFFENSE [times=N]   useful ID [blocks=N]
//	protect ID   ban ID|PREFIX [for=D]   unban ID|PREFIX   skew ID D
//	run D   restart   peers
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata/talk", func(t *testing.T, path string) {
		k := &talk{t: t}
		datadriven.RunTest(t, path, k.do)
	})
}

type talk struct {
	t     *testing.T
	w     *world
	u     *unit
	cfg   Config
	seen  int // events printed
	dials int
	req   uint64
	boots int
}

func (k *talk) do(t *testing.T, d *datadriven.TestData) string {
	arg := func(i int) string {
		if i >= len(d.CmdArgs) {
			d.Fatalf(t, "%s: argument %d is missing", d.Cmd, i+1)
		}
		return d.CmdArgs[i].Key
	}
	opt := func(key string) (s string) { d.MaybeScanArgs(t, key, &s); return s }
	num := func(key string, def int) int { d.MaybeScanArgs(t, key, &def); return def }
	id := func() peer.ID { return peer.ID(arg(0)) }
	target := func() Target {
		if p, err := netip.ParsePrefix(arg(0)); err == nil {
			return ByPrefix(p)
		}
		return ByID(id())
	}
	ask := func(in func(req uint64) input) string {
		k.req++
		k.u.step(in(k.req))
		return ""
	}
	said := ""
	switch d.Cmd {
	case "table":
		k.w, k.seen, k.dials = newWorld(t, 1), 0, 0
		k.w.delay = func() time.Duration { return 25 * time.Millisecond }
		k.cfg = Config{MaxPeers: num("max", 0), MaxInbound: num("inbound", 0), Seed: 7, Feelers: -1}
		if a := opt("static"); a != "" {
			k.cfg.Static = []peer.Addr{at(a)}
		}
		for _, a := range d.CmdArgs {
			if a.Key == "seeds" {
				for _, v := range a.Vals {
					k.cfg.Seeds = append(k.cfg.Seeds, at(v))
				}
			}
		}
		switch opt("rule") {
		case "first":
			k.cfg.Duplicate = wire.FirstFinished
		case "address":
			k.cfg.Duplicate = wire.PerAddress
		}
		k.u = k.w.unit("mmm", "1.0.0.1:1000", k.cfg, memory{})
	case "host":
		k.w.hosts[netip.MustParseAddrPort(arg(1))] = &remote{id: id(), refuse: peer.Reason(opt("refuse"))}
	case "gone":
		delete(k.w.hosts, netip.MustParseAddrPort(arg(0)))
	case "call":
		if _, why := k.u.call(id(), arg(1)); why == peer.OK {
			said = "admitted\n"
		} else {
			said = "refused: " + string(why) + "\n"
		}
	case "hangup":
		k.u.lose(k.u.c.byID[id()], peer.LinkLost)
	case "found":
		var addrs []peer.Addr
		for i := range d.CmdArgs {
			addrs = append(addrs, at(arg(i)))
		}
		k.u.step(found(wire.SourceKademlia, "", addrs...))
	case "connect":
		ask(func(req uint64) input { return inConnect{Req: req, Addr: at(arg(0)), Self: "mmm"} })
	case "offend":
		for range num("times", 1) {
			k.u.step(inOffended{Sid: k.u.c.byID[id()], ID: id(), Offense: peer.Offense(arg(1))})
		}
	case "useful":
		k.u.step(inUseful{ID: id(), Note: Usefulness{Blocks: num("blocks", 1)}})
	case "protect":
		k.u.step(inProtect{Peers: map[peer.ID]bool{id(): true}})
	case "skew":
		by, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		k.u.step(inSkewed{Sid: k.u.c.byID[id()], Skew: by})
	case "ban":
		by, _ := time.ParseDuration(opt("for"))
		ask(func(req uint64) input { return inBan{Req: req, Target: target(), For: by, Self: "mmm"} })
	case "unban":
		ask(func(req uint64) input { return inUnban{Req: req, Target: target()} })
	case "run":
		by, err := time.ParseDuration(arg(0))
		if err != nil {
			t.Fatal(err)
		}
		k.w.run(by)
	case "restart":
		m := k.u.memory()
		k.u.gen++
		k.boots++
		k.seen = 0
		k.u = k.w.unit("mmm", fmt.Sprintf("1.0.0.1:%d", 1000+k.boots), k.cfg, m)
	case "peers":
		var ids []string
		for _, id := range sortedKeys(k.u.c.byID) {
			s := k.u.c.sessions[k.u.c.byID[id]]
			ids = append(ids, fmt.Sprintf("%s (%s)", id, s.info.Direction))
		}
		return strings.Join(ids, " ") + "\n"
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	return said + k.happened()
}

// happened prints dials, replies and events since the last command.
func (k *talk) happened() string {
	var b strings.Builder
	since := func(at time.Time) string { return at.Sub(epoch).Round(time.Second).String() }
	for _, d := range k.w.dials[k.dials:] {
		fmt.Fprintf(&b, "%s dial %s\n", since(d.at), d.addr)
	}
	k.dials = len(k.w.dials)
	for _, e := range k.u.events[min(k.seen, len(k.u.events)):] {
		switch e := e.(type) {
		case Opened:
			fmt.Fprintf(&b, "opened %s\n", e.Info.ID)
		case Closed:
			by := ""
			if e.ByRemote {
				by = " by remote"
			}
			if e.Detail != "" {
				by += ": " + e.Detail
			}
			fmt.Fprintf(&b, "closed %s: %s%s\n", e.ID, e.Reason, by)
		case DialFailed:
			fmt.Fprintf(&b, "dial failed %s: %s\n", e.Addr, e.Reason)
		case Offended:
			fmt.Fprintf(&b, "charged %s: %s %s, score %.0f\n", e.ID, e.Offense, e.Severity, e.Score)
		case Banned:
			fmt.Fprintf(&b, "banned %s for %v: %s\n", e.Target, e.For, e.Reason)
		case Unbanned:
			fmt.Fprintf(&b, "unbanned %s\n", e.Target)
		case ClockSuspect:
			fmt.Fprintf(&b, "clock suspect %v %v\n", e.On, e.Skew)
		case Alarm:
			fmt.Fprintf(&b, "alarm %s %s\n", e.Kind, e.ID)
		}
	}
	k.seen = len(k.u.events)
	var reqs []uint64
	for r := range k.u.replies {
		reqs = append(reqs, r)
	}
	slices.Sort(reqs)
	for _, r := range reqs {
		if err := k.u.replies[r]; err != nil {
			fmt.Fprintf(&b, "request %d: %v\n", r, err)
		} else {
			fmt.Fprintf(&b, "request %d: done\n", r)
		}
		delete(k.u.replies, r)
	}
	return b.String()
}
