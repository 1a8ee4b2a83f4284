package scenario

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/troubles"
	"github.com/starlingp2p/starling/internal/why"
)

// noNames is a DNS that knows no name.
type noNames struct{}

func (noNames) LookupIPAddr(_ context.Context, host string) ([]net.IPAddr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (noNames) LookupTXT(_ context.Context, host string) ([]string, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// explain asks a node why, as the daemon would: who is a peer, or empty for the
// node itself.
func (n *node) explain(who string) why.Report {
	n.lab.t.Helper()
	core := why.New(true)
	n.log.mu.Lock()
	for _, e := range n.log.entries {
		core.Take(e.at, e.ev)
	}
	n.log.mu.Unlock()
	now := time.Now()
	core.Sample(now, n.client.DecisionCounts())
	st := &why.State{
		Began: n.log.began, Status: n.client.Status(), Peers: n.client.Peers(), Bans: n.client.Bans(),
		Known: n.client.KnownPeers(1000), Outlook: n.client.Outlook(),
	}
	for _, a := range st.Status.Addrs {
		for _, part := range strings.Split(a.Text, "/") {
			if ip, err := netip.ParseAddr(part); err == nil {
				st.IPs = append(st.IPs, ip)
			}
		}
	}
	if who == "" {
		return core.Node(now, st)
	}
	r, err := core.Peer(now, st, who)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return r
}

// names checks that the first finding is the true cause, and that the table of
// troubles says the same.
func (l *lab) names(trouble, code string, r why.Report) {
	t := l.t
	t.Helper()
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	if len(r.Findings) == 0 || r.Findings[0].Code != code {
		t.Fatalf("%s: want %s first, and it says\n%s", trouble, code, &out)
	}
	t.Logf("%s", &out)
	f := r.Findings[0]
	if f.Remedy == "" || len(f.Evidence) == 0 {
		t.Errorf("%s: no remedy or no evidence: %+v", trouble, f)
	}
	verb := "why"
	if r.Subject != why.NodeSubject {
		verb = "why PEER"
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	if err := troubles.Check("../..", troubles.Row{
		Trouble: trouble, Verb: verb, Code: f.Code, Says: f.Cause, Do: f.Remedy, Test: "internal/scenario." + name,
	}); err != nil {
		t.Error(err)
	}
}

// awaitCause waits until the first finding is of that code.
func (l *lab) awaitCause(within time.Duration, n *node, who, code string) why.Report {
	l.t.Helper()
	var r why.Report
	last := ""
	start := time.Now()
	for {
		r = n.explain(who)
		if len(r.Findings) > 0 {
			if r.Findings[0].Code == code {
				return r
			}
			last = fmt.Sprintf("%s: %s", r.Findings[0].Code, r.Findings[0].Cause)
		}
		if time.Since(start) >= within {
			l.dump()
			l.t.Fatalf("within %v it did not say %s, but %s", within, code, last)
		}
		time.Sleep(time.Second)
	}
}
