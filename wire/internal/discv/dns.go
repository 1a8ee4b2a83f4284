package discv

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/p2p/dnsdisc"
	"github.com/ethereum/go-ethereum/p2p/enode"
)

// Lists are node lists in DNS (EIP-1459), each named by an enrtree:// URL. Its
// methods are safe for concurrent use.
type Lists struct {
	it     enode.Iterator
	nodes  chan *enode.Node
	quit   context.CancelFunc
	filter func(*enode.Node) bool
	wg     sync.WaitGroup
}

// NewLists makes them of their URLs. resolver is the system's where it is nil;
// the filter says which records are of use, nil: all. DNS is asked while a round
// runs, at the pace of go-ethereum's p2p/dnsdisc. Close must be called.
func NewLists(urls []string, resolver dnsdisc.Resolver, filter func(*enode.Node) bool) (*Lists, error) {
	it, err := dnsdisc.NewClient(dnsdisc.Config{Resolver: resolver, Logger: log.NewLogger(slog.DiscardHandler)}).NewIterator(urls...)
	if err != nil {
		return nil, fmt.Errorf("discv: node list: %w: write enrtree://KEY@example.org", err)
	}
	l := &Lists{it: it, nodes: make(chan *enode.Node), filter: filter}
	if l.filter == nil {
		l.filter = func(*enode.Node) bool { return true }
	}
	ctx, quit := context.WithCancel(context.Background())
	l.quit = quit
	// The iterator can only wait or be closed for good, so it has a goroutine of
	// its own, which is one record ahead.
	l.wg.Go(func() {
		for it.Next() {
			select {
			case l.nodes <- it.Node():
			case <-ctx.Done():
				return
			}
		}
	})
	return l, nil
}

// Discover draws records at random from the lists, until ctx ends, RoundTime is
// over, or enough passed the filter. None is given twice.
func (l *Lists) Discover(ctx context.Context) []*enode.Node {
	ctx, cancel := context.WithTimeout(ctx, RoundTime)
	defer cancel()
	seen := map[enode.ID]bool{}
	var found []*enode.Node
	for tries := 0; tries < RoundNodes && len(found) < RoundFound; tries++ {
		select {
		case n := <-l.nodes:
			if !seen[n.ID()] {
				seen[n.ID()] = true
				if l.filter(n) {
					found = append(found, n)
				}
			}
		case <-ctx.Done():
			return found
		}
	}
	return found
}

// Close ends it and waits.
func (l *Lists) Close() {
	l.quit()
	l.it.Close()
	l.wg.Wait()
}
