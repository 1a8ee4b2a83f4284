package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/protocols/eth"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/rlpx"
	"github.com/ethereum/go-ethereum/rlp"
)

const (
	offset     = 16 // of eth's codes, which is the only protocol
	statusCode = offset + eth.StatusMsg
)

// client is a session with a node, the same for ours and for geth.
type client struct {
	*rlpx.Conn
	raw    net.Conn
	id     uint64 // of the last request
	status []byte // the node's
}

// dial gives a session with a node, behind its handshakes. status is what it
// tells of itself; nil: what the node says, which must be the first to speak.
func dial(url string, status []byte) (*client, error) {
	n, err := enode.ParseV4(url)
	if err != nil {
		return nil, err
	}
	at, _ := n.TCPEndpoint()
	nc, err := net.DialTimeout("tcp", at.String(), patience)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	c := &client{Conn: rlpx.NewConn(nc, n.Pubkey()), raw: nc}
	if err := c.greet(status); err != nil {
		c.Close()
		return nil, fmt.Errorf("bench: handshake: %w", err)
	}
	return c, nil
}

func (c *client) greet(status []byte) error {
	key, err := crypto.GenerateKey()
	if err != nil {
		return err
	}
	if _, err := c.Handshake(key); err != nil {
		return err
	}
	hello, err := rlp.EncodeToBytes([]any{uint(5), "bench", []p2p.Cap{{Name: "eth", Version: 69}}, uint(0), crypto.FromECDSAPub(&key.PublicKey)[1:]})
	if err != nil {
		return err
	}
	if _, err := c.Write(0, hello); err != nil {
		return err
	}
	if code, _, _, err := c.Read(); err != nil || code != 0 {
		return fmt.Errorf("message %d instead of Hello: %w", code, err)
	}
	c.SetSnappy(true)
	if status != nil {
		if _, err := c.Write(statusCode, status); err != nil {
			return err
		}
	}
	theirs, err := c.next(statusCode)
	if err != nil {
		return err
	}
	if c.status = slices.Clone(theirs); status == nil {
		_, err = c.Write(statusCode, c.status)
	}
	return err
}

// next reads until there is a message of that code. Pings are answered.
func (c *client) next(want uint64) ([]byte, error) {
	for {
		code, data, _, err := c.Read()
		if err != nil {
			return nil, err
		}
		switch code {
		case want:
			return data, nil
		case 1:
			return nil, fmt.Errorf("disconnected: %x", data)
		case 2:
			if _, err := c.Write(3, []byte{0xc0}); err != nil {
				return nil, err
			}
		}
	}
}

// measure asks once, and gives the bytes of the answer as it travels.
func (c *client) measure(q question, chain []common.Hash) (int, error) {
	if err := c.ask(q, chain); err != nil {
		return 0, err
	}
	for {
		code, _, size, err := c.Read()
		if err != nil || code == q.answer {
			return size, err
		}
	}
}

// question is a kind of request.
type question struct {
	name         string
	code, answer uint64
	make         func(c *client, chain []common.Hash) any
}

func headers(count uint64) func(*client, []common.Hash) any {
	return func(c *client, chain []common.Hash) any {
		from := 1 + rand.Uint64N(uint64(len(chain))-count)
		return &eth.GetBlockHeadersPacket{RequestId: c.id, GetBlockHeadersRequest: &eth.GetBlockHeadersRequest{Origin: eth.HashOrNumber{Number: from}, Amount: count}}
	}
}

func bodies(count int) func(*client, []common.Hash) any {
	return func(c *client, chain []common.Hash) any {
		from := rand.IntN(len(chain) - count)
		return &eth.GetBlockBodiesPacket{RequestId: c.id, GetBlockBodiesRequest: chain[from : from+count]}
	}
}

var questions = []question{
	{"a header", offset + eth.GetBlockHeadersMsg, offset + eth.BlockHeadersMsg, headers(1)},
	{"192 headers", offset + eth.GetBlockHeadersMsg, offset + eth.BlockHeadersMsg, headers(192)},
	{"128 bodies", offset + eth.GetBlockBodiesMsg, offset + eth.BlockBodiesMsg, bodies(128)},
}

// ask sends a request.
func (c *client) ask(q question, chain []common.Hash) error {
	c.id++
	b, err := rlp.EncodeToBytes(q.make(c, chain))
	if err != nil {
		return err
	}
	_, err = c.Write(q.code, b)
	return err
}

// pipe keeps width requests under way for a time, and gives how many were answered
// and the bytes of the answers.
func (c *client) pipe(q question, chain []common.Hash, width int, d time.Duration) (n, size int, err error) {
	for range width {
		if err := c.ask(q, chain); err != nil {
			return 0, 0, err
		}
	}
	end := time.Now().Add(d)
	for open := width; open > 0; open-- {
		data, err := c.next(q.answer)
		if err != nil {
			return n, size, err
		}
		n++
		size += len(data)
		if time.Now().Before(end) {
			if err := c.ask(q, chain); err != nil {
				return n, size, err
			}
			open++
		}
	}
	return n, size, nil
}

// hashes asks for all headers of the chain, and gives their hashes from 1 on.
func (c *client) hashes(blocks uint64) (out []common.Hash, err error) {
	for uint64(len(out)) < blocks {
		c.id++
		b, err := rlp.EncodeToBytes(&eth.GetBlockHeadersPacket{RequestId: c.id, GetBlockHeadersRequest: &eth.GetBlockHeadersRequest{
			Origin: eth.HashOrNumber{Number: uint64(len(out)) + 1}, Amount: min(512, blocks-uint64(len(out))),
		}})
		if err != nil {
			return nil, err
		}
		if _, err := c.Write(offset+eth.GetBlockHeadersMsg, b); err != nil {
			return nil, err
		}
		data, err := c.next(offset + eth.BlockHeadersMsg)
		if err != nil {
			return nil, err
		}
		var answer struct {
			ID      uint64
			Headers []rlp.RawValue
		}
		if err := rlp.DecodeBytes(data, &answer); err != nil || len(answer.Headers) == 0 {
			return nil, fmt.Errorf("bench: %d headers: %w", len(answer.Headers), err)
		}
		for _, h := range answer.Headers {
			out = append(out, crypto.Keccak256Hash(h))
		}
	}
	return out, nil
}
