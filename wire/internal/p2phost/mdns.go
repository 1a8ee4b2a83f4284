package p2phost

import (
	"fmt"

	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/starlingp2p/starling/wire"
)

// StartMDNS announces us in the local network under a service name
// ("_starling-0123._udp") and reports whom it finds. The func ends it.
func (h *Host) StartMDNS(service string) (stop func() error, err error) {
	s := mdns.NewMdnsService(h.host, service, mdnsFinds{h})
	if err := s.Start(); err != nil {
		s.Close()
		return nil, fmt.Errorf("p2phost: mdns: %w", err)
	}
	return s.Close, nil
}

// mdnsFinds reports what mDNS finds. The local network is where private
// addresses belong, so they are kept whatever the host allows elsewhere; the
// node judges them when it comes to dialling.
type mdnsFinds struct{ h *Host }

// HandlePeerFound implements mdns.Notifee.
func (m mdnsFinds) HandlePeerFound(info libpeer.AddrInfo) {
	if info.ID == m.h.ID() || !acceptedKey(info.ID) {
		return
	}
	if f, ok := foundPeer(info, keepAddr(true)); ok {
		m.h.cfg.Judge.Report(wire.Found{Source: wire.SourceMDNS, Peers: []wire.FoundPeer{f}})
	}
}
