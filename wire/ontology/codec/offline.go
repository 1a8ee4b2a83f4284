package codec

import "encoding/binary"

// maxOffline is how many nodes an Offline names.
const maxOffline = 255

// Offline is a vote of consensus nodes that others are gone.
type Offline struct {
	Time     uint32 // Unix seconds
	View     uint32
	Nodes    [][]byte // keys, as text
	Proposer []byte
	Sig      []byte
	Voters   []OfflineVote
}

// OfflineVote is one voter's part.
type OfflineVote struct{ Indexes, Key, Sig []byte }

// AppendUnsigned appends what the proposer signs the SHA-256 of; a voter's
// indexes follow for its signature.
func (o Offline) AppendUnsigned(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(le.AppendUint32(dst, o.Time), o.View)
	dst = le.AppendUint32(dst, uint32(len(o.Nodes)))
	for _, n := range o.Nodes {
		dst = appendVarbytes(dst, n)
	}
	return appendVarbytes(dst, o.Proposer)
}

// Append appends the payload.
func (o Offline) Append(dst []byte) []byte {
	dst = appendVarbytes(o.AppendUnsigned(dst), o.Sig)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(o.Voters)))
	for _, v := range o.Voters {
		dst = appendVarbytes(appendVarbytes(appendVarbytes(dst, v.Indexes), v.Key), v.Sig)
	}
	return dst
}

// DecodeOffline reads a payload. The signatures are not checked.
func DecodeOffline(b []byte) (o Offline, err error) {
	r := newReader("offline", b, Strict)
	o.Time, o.View = r.u32("time"), r.u32("view")
	for range r.counted("nodes", uint64(r.u32("nodes")), 1, maxOffline) {
		o.Nodes = append(o.Nodes, r.varbytes("node", 2*maxKey))
	}
	o.Proposer = r.varbytes("proposer", 2*maxKey)
	o.Sig = r.varbytes("signature", maxSig)
	for range r.counted("voters", uint64(r.u32("voters")), 3, maxOffline) {
		o.Voters = append(o.Voters, OfflineVote{r.varbytes("indexes", maxOffline), r.varbytes("voter", 2*maxKey), r.varbytes("signature", maxSig)})
	}
	if err := r.end(); err != nil {
		return Offline{}, err
	}
	return o, nil
}
