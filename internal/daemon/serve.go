package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling/internal/rpc"
)

// doors are the listeners of the RPC, open before the node starts so that what
// is in their way is found then.
type doors struct {
	unix net.Listener
	tcp  net.Listener // nil: none
	opts rpc.TCP
}

// openDoors listens. A token that is missing is made.
func (n *Node) openDoors(ctx context.Context, log *slog.Logger) (d doors, err error) {
	if d.unix, err = rpc.Listen(SocketPath(n.dir.Path)); err != nil {
		return d, err
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	r := n.rpc
	if r.Listen == "" {
		return d, nil
	}
	d.opts = rpc.TCP{Hosts: r.Hosts, Origins: r.Origins, Open: !r.public(), Conns: r.MaxConnections, Rate: r.Rate}
	file := r.TokenFile
	if file == "" {
		file = defaultTokenFile
	}
	if d.opts.Token, err = rpc.LoadToken(n.dir.resolve(file)); err != nil {
		return d, fmt.Errorf("rpc.token_file: %w", err)
	}
	if r.ReadTokenFile != "" {
		if d.opts.ReadToken, err = rpc.LoadToken(n.dir.resolve(r.ReadTokenFile)); err != nil {
			return d, fmt.Errorf("rpc.read_token_file: %w", err)
		}
	}
	if d.tcp, err = rpc.ListenTCP(ctx, r.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return d, fmt.Errorf("rpc.listen: %s is in use by another process; choose another port, or 0 for any free one", r.Listen)
		}
		return d, fmt.Errorf("rpc.listen: %w; choose another address, or leave the key out", err)
	}
	if r.public() {
		log.Warn("the RPC can be reached from other machines, and is not encrypted; put a proxy with TLS before it", "addr", d.tcp.Addr())
	}
	return d, nil
}

func (d *doors) close() {
	d.unix.Close()
	if d.tcp != nil {
		d.tcp.Close()
	}
}

// url is where the RPC is over TCP; empty: nowhere.
func (d *doors) url() string {
	if d.tcp == nil {
		return ""
	}
	return "http://" + d.tcp.Addr().String()
}

// newRPC makes the server of all methods and events. Parts that answer HTTP are mounted
// on it here.
func (n *Node) newRPC(log *slog.Logger, obs *observer) (*rpc.Server, error) {
	s, err := rpc.New(append(n.methods(), n.node.Methods()...), log.With("part", "rpc"))
	if err != nil {
		return nil, err
	}
	for _, f := range n.feeds() {
		if err := s.AddFeed(f); err != nil {
			return nil, err
		}
	}
	s.Describe(rpc.DocumentInfo{Title: "Starling", Description: "JSON-RPC of a Starling node.", Version: Version})
	s.Mount("/events", rpc.Read, s.EventStream(n.events, n.snapshot))
	obs.mount(s)
	return s, nil
}

// serve answers on every door until ctx ends.
func (d *doors) serve(ctx context.Context, s *rpc.Server) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Serve(ctx, d.unix) })
	if d.tcp != nil {
		g.Go(func() error { return s.ServeTCP(ctx, d.tcp, d.opts) })
	}
	return g.Wait()
}
