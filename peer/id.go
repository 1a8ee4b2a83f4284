package peer

// ID names a peer on its wire: the libp2p peer id, the node id of an enode in
// hex, the identity that an Ontology peer claims. It is opaque outside its
// wire; two IDs are the same peer exactly if they are equal. The zero ID is
// nobody.
type ID string

// Short is the ID cut to its last eight characters, for people to read.
func (id ID) Short() string {
	if len(id) <= 8 {
		return string(id)
	}
	return string(id[len(id)-8:])
}

// Addr is an address that a wire can dial: a scheme that tells the form, and
// an opaque string in it ("multiaddr", "/ip4/10.0.0.1/tcp/4001/p2p/12D3…";
// "enode", "enode://…@10.0.0.1:30303"). Addrs are comparable. The zero Addr is
// no address.
type Addr struct {
	Scheme string
	Text   string
}

// String is the address as its wire parses it.
func (a Addr) String() string { return a.Text }

// IsZero reports whether a is no address.
func (a Addr) IsZero() bool { return a == Addr{} }
