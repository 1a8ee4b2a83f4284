package devp2p

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
)

// pmpRouter answers NAT-PMP (RFC 6886) on loopback as a router of a home does,
// and tells what it was asked.
func pmpRouter(t *testing.T, at string) <-chan string {
	t.Helper()
	conn, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 64)
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			out := []byte{0, 128 + buf[1], 0, 0, 0, 0, 0, 1}
			switch {
			case n == 2 && buf[1] == 0:
				out = append(out, 203, 0, 113, 9)
				asked <- "address"
			case n == 12:
				inner, outer, life := buf[4:6], binary.BigEndian.Uint16(buf[6:8]), buf[8:12]
				if outer != 0 {
					outer++ // it has its own mind
				}
				out = append(out, inner...)
				out = binary.BigEndian.AppendUint16(out, outer)
				out = append(out, life...)
				asked <- fmt.Sprintf("%d %d for %d", buf[1], binary.BigEndian.Uint16(inner), binary.BigEndian.Uint32(life))
			default:
				continue
			}
			conn.WriteTo(out, from)
		}
	}()
	return asked
}

// The library's own client of NAT-PMP maps our port on a router, and unmaps it
// when we stop.
func TestARouterOfNATPMPMapsAPort(t *testing.T) {
	asked := pmpRouter(t, "127.77.30.3:5351")
	r, err := ParseNAT("pmp:127.77.30.3")
	if err != nil {
		t.Fatal(err)
	}
	n := bed.NewNet(bed.Config{})
	defer n.Close()
	a := start(t, n, 1, nil, func(c *Config) {
		c.Router, c.Listen, c.Net = r, "8.8.0.1:30303", n.Host(netip.MustParseAddr("8.8.0.1"))
	})
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	expect := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-asked:
				if got == want {
					return
				}
			case <-late.C:
				t.Fatalf("the router was not asked for %q", want)
			}
		}
	}
	expect("address")
	expect("2 30303 for 600") // TCP
	a.stop(t)
	expect("2 30303 for 0")
}
