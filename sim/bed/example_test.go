package bed_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/starlingp2p/starling/sim/bed"
)

// Two hosts on a link of 1 MB/s and 20 ms: what a message of a megabyte takes,
// in virtual time, and for this seed in every run.
func ExampleSim() {
	sim := bed.NewSim(1)
	fabric := sim.Fabric(bed.Config{Link: bed.Link{Rate: 1e6, Latency: 20 * time.Millisecond}})
	alice, bob := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")

	pipe := fabric.Pipe(alice, bob)
	pipe.Send(1e6, func() {
		fmt.Println("arrived after", sim.Now().Sub(bed.Epoch()).Round(time.Millisecond))
	})
	sim.RunFor(time.Minute)
	fmt.Println(fabric.Traffic(bob).Received, "bytes")
	// Output:
	// arrived after 1.086s
	// 1000000 bytes
}
