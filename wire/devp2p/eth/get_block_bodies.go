package eth

import "github.com/starlingp2p/starling/chain"

// GetBlockBodies asks for bodies by hash.
type GetBlockBodies struct {
	ID     uint64
	Hashes []chain.Hash
}

// Append appends the payload.
func (m GetBlockBodies) Append(b []byte) []byte { return appendIDHashes(b, m.ID, m.Hashes) }

// DecodeGetBlockBodies reads the payload. More hashes than are ever served are
// legal; those are left away.
func DecodeGetBlockBodies(b []byte) (m GetBlockBodies, err error) {
	m.ID, m.Hashes, err = decodeIDHashes(b, MaxBodies, "body request")
	return m, err
}

// decodeIDHashes reads [id, [hashes...]] and keeps the first keep hashes.
func decodeIDHashes(b []byte, keep int, what string) (id uint64, hs []chain.Hash, err error) {
	c := message(b)
	id = c.uint()
	in := c.list()
	hs = in.someHashes(keep)
	c.nested(&in)
	return id, hs, c.end(what)
}

// someHashes takes all that is left as hashes, and keeps the first of them.
func (c *cursor) someHashes(keep int) []chain.Hash {
	out := make([]chain.Hash, 0, min(len(c.b)/hashItem, keep))
	for c.more() {
		if h := c.hash(); len(out) < keep && c.err == nil {
			out = append(out, h)
		}
	}
	return out
}
