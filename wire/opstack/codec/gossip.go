package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"

	"github.com/starlingp2p/starling/peer"
)

// Versions lists the versions; each has a topic, and a node joins all of them.
var Versions = [...]Version{V1, V2, V3, V4}

// Topic is where blocks of a version are gossiped.
func Topic(chainID uint64, v Version) string {
	return fmt.Sprintf("/optimism/%d/%d/blocks", chainID, v-1)
}

// Protocols are the names of payload_by_number, to be offered in this order:
// op-node speaks the first, Kona the second, and each only its own.
func Protocols(chainID uint64) [2]string {
	p := fmt.Sprintf("/opstack/req/payload_by_number/%d/0", chainID)
	return [2]string{p, p + "/"}
}

// ProtocolChain reads the chain out of a name of payload_by_number.
func ProtocolChain(protocol string) (chainID uint64, ok bool) {
	s, ok := strings.CutPrefix(strings.TrimSuffix(protocol, "/"), "/opstack/req/payload_by_number/")
	if !ok {
		return 0, false
	}
	s, ok = strings.CutSuffix(s, "/0")
	if !ok {
		return 0, false
	}
	chainID, err := strconv.ParseUint(s, 10, 64)
	return chainID, err == nil
}

// SnappyLen reads how long a snappy block says that it is.
func SnappyLen(data []byte) (int, error) {
	n, err := snappy.DecodedLen(data)
	if err != nil {
		return 0, bad("snappy header: %w", err)
	}
	return n, nil
}

// DecodedLen reads how long a snappy block says that it is, and checks that
// against the bounds of gossip and against what its own length allows.
func DecodedLen(data []byte) (int, error) {
	n, err := SnappyLen(data)
	switch {
	case err != nil:
		return 0, err
	case n > MaxMessage:
		return 0, fault(peer.Bomb, "snappy block of %d bytes claims %d, at most %d", len(data), n, MaxMessage)
	case n < MinMessage:
		return 0, bad("message of %d bytes, at least %d", n, MinMessage)
	// A snappy element makes at most 64 bytes out of 3.
	case n > 22*len(data)+64:
		return 0, fault(peer.Bomb, "snappy block of %d bytes claims %d, which cannot be", len(data), n)
	}
	return n, nil
}

// Decompress decodes a snappy block whose length DecodedLen has checked.
func Decompress(data []byte) ([]byte, error) {
	out, err := snappy.DecodeStrict(nil, data)
	if err != nil {
		return nil, bad("snappy block: %w", err)
	}
	return out, nil
}

// Compress is the snappy block of a message.
func Compress(b []byte) []byte { return s2.EncodeSnappy(nil, b) }

// MaxCompressed is the longest snappy block of MaxMessage bytes.
const MaxCompressed = 32 + MaxMessage + MaxMessage/6

// IDSize is the length of a message id.
const IDSize = 20

// Domains of message ids.
var (
	invalidSnappy = [4]byte{0, 0, 0, 0}
	validSnappy   = [4]byte{1, 0, 0, 0}
)

// MessageID is the id of a message whose snappy block decoded to body.
func MessageID(topic string, body []byte) string { return messageID(validSnappy, topic, body) }

// RawMessageID is the id of a message that is no valid snappy block.
func RawMessageID(topic string, data []byte) string { return messageID(invalidSnappy, topic, data) }

func messageID(domain [4]byte, topic string, body []byte) string {
	h := sha256.New()
	h.Write(domain[:])
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(topic)))
	h.Write(n[:])
	h.Write([]byte(topic))
	h.Write(body)
	var sum [sha256.Size]byte
	return string(h.Sum(sum[:0])[:IDSize])
}
