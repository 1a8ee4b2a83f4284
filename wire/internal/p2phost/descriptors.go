package p2phost

const (
	// reservedDescriptors stay free for the database, files and RPC, whatever
	// comes in (threat C-02).
	reservedDescriptors = 32
	assumedOpen         = 32 // where the system does not tell what is open
	leastDescriptors    = 6  // for connections, in any case
)

// forConnections is how many descriptors connections may have in a process
// that may have most and has some open; most 0: as many as there may be
// connections.
func forConnections(conns, most, open int) int {
	if most == 0 {
		return conns
	}
	return min(conns, max(most-open-reservedDescriptors, leastDescriptors))
}
