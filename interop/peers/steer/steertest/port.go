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

// FreePort is a TCP port of 127.0.0.1 on which nobody listens, for a program that
// must be told one. One that can be told 0 is better told that.
func FreePort() (int, error) {
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no port of 127.0.0.1 from %d to %d is free", lowestPort, highestPort)
}

// Port is FreePort for tests.
func Port(t *testing.T) int {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
