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
		bloom.Add(in.bytes())
		topics := in.list()
		for topics.more() {
			bloom.Add(topics.bytes())
		}
		in.nested(&topics)
		in.bytes()
		c.nested(&in)
	}
	return bloom, c.end("logs")
}
