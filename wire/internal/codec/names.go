package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/starlingp2p/starling/chain"
)

// Protocol ids of streams.
const (
	StatusProtocol    = "/starling/status/1"
	RequestProtocol   = "/starling/request/1"
	ConsensusProtocol = "/starling/consensus/1"
	GoodbyeProtocol   = "/starling/goodbye/1"
)

// Names are the names of one network: its topics and its Kademlia prefix, all
// of which carry the first 8 bytes of its genesis hash. Make one with NamesOf.
type Names struct {
	Prefix    string // of Kademlia
	Block     string
	Tx        string
	Consensus string
}

// NamesOf gives the names of the network with that genesis.
func NamesOf(genesis chain.Hash) Names {
	p := "/starling/" + hex.EncodeToString(genesis[:8])
	return Names{Prefix: p, Block: p + "/block/1", Tx: p + "/tx/1", Consensus: p + "/consensus/1"}
}

// App is the topic of an application's broadcasts called name.
func (n Names) App(name string) (string, error) {
	if !validName(name) {
		return "", fmt.Errorf("codec: topic name %.*q: want 1 to %d of a-z 0-9 . _ -", MaxName, name, MaxName)
	}
	return n.Prefix + "/app/" + name + "/1", nil
}

// AppName is the name in an application's topic, and whether it is one.
func (n Names) AppName(topic string) (string, bool) {
	head := n.Prefix + "/app/"
	if len(topic) <= len(head)+len("/1") || topic[:len(head)] != head || topic[len(topic)-2:] != "/1" {
		return "", false
	}
	name := topic[len(head) : len(topic)-2]
	return name, validName(name)
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// MessageID is the id of a gossiped message, over its topic and its payload as
// it travelled: 20 bytes.
func MessageID(topic string, data []byte) string {
	h := sha256.New()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(topic)))
	h.Write(n[:])
	h.Write([]byte(topic))
	h.Write(data)
	var sum [sha256.Size]byte
	return string(h.Sum(sum[:0])[:20])
}
