package scenario

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	madns "github.com/multiformats/go-multiaddr-dns"

	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire/native"
)

// zone answers every question with the address of one host.
type zone struct{ host atomic.Int64 }

func (z *zone) LookupIPAddr(context.Context, string) ([]net.IPAddr, error) {
	return []net.IPAddr{{IP: addr(int(z.host.Load())).AsSlice()}}, nil
}

func (z *zone) LookupTXT(context.Context, string) ([]string, error) { return nil, nil }

// All seeds are gone for an hour and come back at the same address; the rest
// of the network went with them and stays away. At most 75 s later the node is
// part of the network again.
func TestNodeRejoinsWithin75SecondsOfItsSeeds(t *testing.T) {
	tests := []struct {
		name   string
		mode   bed.Mode
		others int  // peers that are no seeds, in the node's book
		names  bool // the seed is given by DNS name, and comes back at another address
	}{
		{"refused", bed.Break, 0, false},
		{"silent", bed.Silent, 0, false},
		{"refused, with dead addresses", bed.Break, 4, false},
		{"silent, with dead addresses", bed.Silent, 4, false},
		{"by name, elsewhere", bed.Break, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, ordinary(), func(l *lab) {
				seeds := l.many(0, 2, 0, 1)
				seeds[0].produce()
				others := l.many(3, 3+tt.others, 0, 1)
				known := only(0, 1)
				if tt.names {
					known = []string{strings.Replace(at(0), "/ip4/"+addr(0).String(), "/dns4/seed.example", 1)}
				}
				dns := &zone{}
				resolver, err := madns.NewResolver(madns.WithDefaultResolver(dns))
				if err != nil {
					t.Fatal(err)
				}
				lonely := l.start(2, spec{seeds: known, wire: func(c *native.Config) { c.Resolver = resolver }})
				l.awaitPeers(time.Minute, 1, lonely)
				l.awaitOneTip(time.Minute, 3, l.nodes...)
				time.Sleep(2 * time.Minute) // all know all
				for _, n := range append(seeds, others...) {
					n.kill(tt.mode)
					if tt.mode == bed.Silent {
						n.host.Cut(tt.mode) // and its address does not answer
					}
				}
				time.Sleep(time.Hour)
				if got := lonely.peers(); len(got) != 0 {
					t.Fatalf("%d sessions with nobody", len(got))
				}
				if tt.names { // the name leads elsewhere now
					seeds[0].move(30)
					dns.host.Store(30)
				}
				for _, n := range seeds {
					n.host.Restore()
					n.run()
				}
				seeds[0].produce()
				l.await(75*time.Second, "the node back in the network", func() bool { return len(lonely.peers()) > 0 })
				l.awaitOneTip(30*time.Second, seeds[0].head().Number+1, append(seeds, lonely)...)
			})
		})
	}
}
