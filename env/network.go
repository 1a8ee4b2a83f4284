package env

import (
	"context"
	"net"
)

// Network opens the links that a session wire runs on. Implementations are
// safe for concurrent use. The addresses are those of package net
// ("127.0.0.1:4001"); network is "tcp" or "udp".
type Network interface {
	// Dial connects once and blocks until connected, refused or ctx ends.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Listen does not block; Accept of the listener does.
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	// ListenPacket does not block.
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
}

// SystemNetwork is the network of this machine.
func SystemNetwork() Network { return systemNetwork{} }

type systemNetwork struct{}

func (systemNetwork) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (systemNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, network, address)
}

func (systemNetwork) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	return (&net.ListenConfig{}).ListenPacket(ctx, network, address)
}
