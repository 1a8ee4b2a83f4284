package eth

import (
	"github.com/ethereum/go-ethereum/core/types"
)

const bloomLen = types.BloomByteLength

// bloomOf computes the filter over a list of logs, each [address, topics, data]
// (Yellow Paper, 4.3.1).
func bloomOf(logs []byte) (bloom types.Bloom, err error) {
	c := message(logs)
	for c.more() {
		in := c.list()
		address, topic := [20]byte{}, [32]byte{} // of other lengths there are none, so that a hash is paid for with bytes
		in.fixed(address[:])
		bloom.Add(address[:])
		topics := in.list()
		for topics.more() {
			topics.fixed(topic[:])
			bloom.Add(topic[:])
		}
		in.nested(&topics)
		in.bytes()
		c.nested(&in)
	}
	return bloom, c.end("logs")
}
