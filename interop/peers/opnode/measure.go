package opnode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/ethereum-optimism/optimism/op-node/p2p"
	"github.com/ethereum-optimism/optimism/op-service/clock"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/log"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Measure says which messages of blocksV4 are judged.
type Measure struct {
	File   string `json:"file"`   // the messages as they are gossiped, each behind its length as a uvarint
	Copies int    `json:"copies"` // how often each comes: it is judged once
}

// Measured is how long that took.
type Measured struct {
	Messages    int   `json:"messages"`
	Accepted    int   `json:"accepted"`
	Nanoseconds int64 `json:"nanoseconds"`
	CPU         int64 `json:"cpu"` // nanoseconds of the process's processor time
}

// measure judges messages as op-node's gossip does: the id of each copy, and the
// validator once.
func (n *node) measure(ctx context.Context, params json.RawMessage) (Measured, error) {
	var m Measure
	if err := json.Unmarshal(params, &m); err != nil {
		return Measured{}, err
	}
	msgs, err := readMessages(m.File)
	if err != nil {
		return Measured{}, err
	}
	cfg := n.source.params.config()
	id := p2p.BuildMsgIdFn(cfg)
	validate := p2p.BuildBlocksValidator(log.NewLogger(log.DiscardHandler()), cfg, n, eth.BlockV4, &p2p.Config{GossipTimestampThreshold: 24 * time.Hour}, clock.SystemClock)
	topic := fmt.Sprintf("/optimism/%d/3/blocks", cfg.L2ChainID)
	from := peer.ID("bench")
	out := Measured{Messages: len(msgs)}
	all := make([][][]byte, len(msgs)) // each copy is bytes of its own, as off the wire
	for i, data := range msgs {
		for range m.Copies {
			all[i] = append(all[i], bytes.Clone(data))
		}
	}
	start, before := time.Now(), cpu()
	for _, same := range all {
		for _, data := range same {
			id(&pb.Message{Data: data, Topic: &topic})
		}
		data := same[0]
		if validate(ctx, from, &pubsub.Message{Message: &pb.Message{Data: data, Topic: &topic}}) == pubsub.ValidationAccept {
			out.Accepted++
		}
	}
	out.Nanoseconds, out.CPU = time.Since(start).Nanoseconds(), cpu()-before
	return out, nil
}

// cpu is the processor time of this process so far, in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func readMessages(path string) (msgs [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		size, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return msgs, nil
		}
		if err != nil || size > 10<<20 {
			return nil, fmt.Errorf("message of %d bytes: %w", size, err)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		msgs = append(msgs, b)
	}
}
