package codec

import "github.com/starlingp2p/starling/peer"

// UpdateKadID tells a node's key in the handshake of the newer releases.
type UpdateKadID struct {
	Key []byte
	ID  PeerID // of the key
}

// Append appends the payload.
func (u UpdateKadID) Append(dst []byte) []byte { return appendVarbytes(dst, u.Key) }

// DecodeUpdateKadID reads a payload and checks the key's proof of work.
func DecodeUpdateKadID(b []byte) (u UpdateKadID, err error) {
	r := newReader("updatekadid", b, Strict)
	u.Key = r.varbytes("key", maxKey)
	if err := r.end(); err != nil {
		return UpdateKadID{}, err
	}
	if u.ID, err = KadIDOf(u.Key); err != nil {
		return UpdateKadID{}, fault(peer.BadEncoding, "updatekadid: %w", err)
	}
	return u, nil
}
