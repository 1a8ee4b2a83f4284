package ontology

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

const (
	recentEvery = time.Minute // the file is written
	recentAfter = time.Minute // a peer is worth it that has stayed so long
	recentKept  = 100         // addresses up to which those of before stand
)

// readRecent reads a peers.recent; nil: there is none.
func readRecent(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPeersFile+1))
}

// keepRecent tells the node of the peers that the file names, and writes those
// of now above them, until ctx ends. While there are none the file stands. It
// stays in the form in which it was found.
func (n *node) keepRecent(ctx context.Context) {
	path := n.cfg.RecentFile
	file, err := readRecent(path)
	var addrs []netip.AddrPort
	if err == nil && file != nil {
		addrs, err = ParseRecent(file, n.cfg.Magic)
	}
	if err != nil { // it is somebody else's work: it is not written over
		n.log.Warn("recent peers are not read, and not kept", "path", path, "err", err)
		return
	}
	found := wire.Found{Source: wire.SourceRecent}
	for _, a := range addrs {
		found.Peers = append(found.Peers, wire.FoundPeer{Addrs: []peer.Addr{addrOf(a)}})
	}
	if len(found.Peers) > 0 {
		n.host.Report(found)
	}
	tick := time.NewTicker(recentEvery)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := n.recent()
		if len(now) == 0 {
			continue
		}
		addrs = above(now, addrs)
		file, err := MergeRecent(file, n.cfg.Magic, addrs)
		if err == nil {
			err = replace(path, file)
		}
		if err != nil && !told {
			n.log.Warn("recent peers cannot be kept", "path", path, "err", err)
		}
		told = err != nil
	}
}

// recent are the addresses of peers that have stayed a while, in the order of
// their nonces.
func (n *node) recent() (all []netip.AddrPort) {
	for _, s := range n.others(nil) {
		if len(s.info.Listen) > 0 && time.Since(s.since) >= recentAfter {
			all = append(all, netip.AddrPortFrom(s.info.Endpoint.Addr(), s.theirs.SyncPort))
		}
	}
	return all
}

// above are the addresses of now, and behind them those of before while there is
// room.
func above(now, before []netip.AddrPort) []netip.AddrPort {
	for _, a := range before {
		if len(now) >= recentKept {
			break
		}
		if !slices.Contains(now, a) {
			now = append(now, a)
		}
	}
	return now
}

// replace writes a file in one piece.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".peers-recent-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
