package steertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports are taken from those below what systems give to whoever asks for any, so
// that nobody is given one between the look and its use: not by a listener, and
// not by a connection. A node that dials a port of its own system's choice on
// loopback before anybody listens there may even meet itself.
const (
	lowestPort  = 10_000
	highestPort = 32_000
)

// Port is a TCP port of 127.0.0.1 on which nobody listens, for a program that
// must be told one. One that can be told 0 is better told that.
func Port(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}
