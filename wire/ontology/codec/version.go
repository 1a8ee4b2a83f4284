package codec

import (
	"encoding/binary"

	"github.com/starlingp2p/starling/peer"
)

// Services of a node, as Version carries them.
const (
	ServiceVerify uint64 = 1 // it takes part in the consensus
	ServiceNode   uint64 = 2
)

// maxSoftVersion is the longest SoftVersion, in bytes.
const maxSoftVersion = 256

// Version opens a handshake. Everything in it is a claim.
type Version struct {
	Version       uint32 // of the protocol; 0 in every release
	Services      uint64
	Time          int64 // Unix nanoseconds
	SyncPort      uint16
	HTTPPort      uint16
	ConsensusPort uint16 // 0: it has no second port
	Cap           [32]byte
	Nonce         uint64 // names the node
	Height        uint64 // newer releases send 0 until their first ping
	Relay         bool
	Consensus     bool   // this link is for consensus
	Soft          string // SoftVersion, cleaned; empty before v1.6.0
}

// Append appends the payload. An empty Soft leaves the string out, as before
// v1.6.0; v1.0.0 ignores it otherwise.
func (v Version) Append(dst []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, v.Version)
	dst = le.AppendUint64(dst, v.Services)
	dst = le.AppendUint64(dst, uint64(v.Time))
	dst = le.AppendUint16(dst, v.SyncPort)
	dst = le.AppendUint16(dst, v.HTTPPort)
	dst = le.AppendUint16(dst, v.ConsensusPort)
	dst = append(dst, v.Cap[:]...)
	dst = le.AppendUint64(dst, v.Nonce)
	dst = le.AppendUint64(dst, v.Height)
	dst = appendFlag(dst, v.Relay)
	dst = appendFlag(dst, v.Consensus)
	if v.Soft != "" {
		dst = appendText(dst, v.Soft[:min(len(v.Soft), maxSoftVersion)])
	}
	return dst
}

// DecodeVersion reads a payload. It is read before the peer's dialect is known,
// and so by the lenient rules; what follows the SoftVersion is ignored, as
// every release does.
func DecodeVersion(b []byte) (v Version, err error) {
	r := newReader("version", b, Lenient)
	v.Version = r.u32("version")
	v.Services = r.u64("services")
	v.Time = int64(r.u64("time"))
	v.SyncPort = r.u16("sync port")
	v.HTTPPort = r.u16("http port")
	v.ConsensusPort = r.u16("consensus port")
	copy(v.Cap[:], r.take(len(v.Cap), "capabilities"))
	v.Nonce = r.u64("nonce")
	v.Height = r.u64("height")
	v.Relay = r.u8("relay") != 0
	v.Consensus = r.flag("consensus")
	if err := r.end(); err != nil {
		return Version{}, err
	}
	if len(r.b) > 0 {
		// Bytes that are no string are an old peer's padding.
		if s := r.varbytes("soft version", maxSoftVersion); r.err == nil {
			v.Soft = peer.Clean(string(s))
		}
	}
	return v, nil
}
