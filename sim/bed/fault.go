package bed

import (
	"net/netip"
	"slices"
)

// Partition splits the hosts into the groups given; those that are in none
// form one more. Between groups everything shows as mode says; a partition
// replaces the one before it.
func (f *Fabric) Partition(mode Mode, groups ...[]netip.Addr) {
	f.parted = mode
	f.groups = map[netip.Addr]int{}
	for i, g := range groups {
		for _, a := range g {
			f.groups[a] = i + 1
		}
	}
	f.refresh()
}

// Heal ends the partition. What a silent one held arrives.
func (f *Fabric) Heal() {
	f.parted, f.groups = 0, nil
	f.refresh()
}

// Cut takes a host off the network; Restore puts it back.
func (f *Fabric) Cut(host netip.Addr, mode Mode) {
	f.end(host).cut = mode
	f.refresh()
}

// Restore ends a Cut.
func (f *Fabric) Restore(host netip.Addr) {
	f.end(host).cut = 0
	f.refresh()
}

// Stall stops the bytes between two hosts, both ways, without an error;
// Unstall lets them go on.
func (f *Fabric) Stall(a, b netip.Addr) { f.stall(a, b, true) }

// Unstall ends a Stall.
func (f *Fabric) Unstall(a, b netip.Addr) { f.stall(a, b, false) }

// StallOneWay stops or lets go the bytes of one direction.
func (f *Fabric) StallOneWay(from, to netip.Addr, stalled bool) {
	f.path(from, to).stalled = stalled
	f.refresh()
}

func (f *Fabric) stall(a, b netip.Addr, stalled bool) {
	f.path(a, b).stalled = stalled
	f.path(b, a).stalled = stalled
	f.refresh()
}

// Corrupt flips a byte in that share of the segments and datagrams from one
// host to another; 0 ends it. A checksum would catch it: it stands for a peer
// or a middle box that does so on purpose.
func (f *Fabric) Corrupt(from, to netip.Addr, share float64) {
	f.path(from, to).corrupt = min(max(share, 0), 1)
}

// Blocked tells how the way from one host to another is blocked; 0: it is not.
func (f *Fabric) Blocked(from, to netip.Addr) Mode { return f.path(from, to).block }

// blockOf is what the faults at hand come to for a path. A break is heard of
// over a silence.
func (f *Fabric) blockOf(p *path) Mode {
	m := max(p.from.cut, p.to.cut)
	if f.parted != 0 && f.groups[p.from.addr] != f.groups[p.to.addr] {
		m = max(m, f.parted)
	}
	if p.stalled {
		m = max(m, Silent)
	}
	return m
}

// refresh works out anew what is blocked, breaks what breaks and lets go what
// was held.
func (f *Fabric) refresh() {
	for _, p := range slices.Clone(f.all) { // callbacks may open paths
		was, is := p.block, f.blockOf(p)
		p.block = is
		switch {
		case is == Break && was != Break:
			for _, pipe := range slices.Clone(p.pipes) {
				pipe.fail()
			}
		case is == 0 && was != 0:
			for _, pipe := range slices.Clone(p.pipes) {
				pipe.release()
			}
		}
	}
}

// fail breaks the pipe and says so.
func (p *Pipe) fail() {
	if p.broken {
		return
	}
	p.Close()
	if p.onBreak != nil {
		p.onBreak()
	}
}
