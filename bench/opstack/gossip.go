package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// judge times our code on messages that each come so often: the id of each copy,
// and all rows of the table once. It gives what one message takes.
func judge(c family.Config, msgs [][]byte, copies int) (cost, error) {
	c.MaxAge = 10 * time.Minute // a busy machine takes its time
	f, err := family.New(c)
	if err != nil {
		return cost{}, err
	}
	all := make([][][]byte, len(msgs)) // each copy is bytes of its own, as off the wire
	for i, m := range msgs {
		for range copies {
			all[i] = append(all[i], bytes.Clone(m))
		}
	}
	rules, known, topic := f.Rules(), opstack.NewCopies(), codec.Topic(chainID, codec.V4)
	start := meterFrom(time.Now())
	for _, same := range all {
		for _, data := range same {
			known.ID(topic, data)
		}
		b, why := rules.Receive(codec.V4, known.Take(topic, same[0]))
		if why != nil {
			return cost{}, fmt.Errorf("bench: a message is refused: %s", why.Name)
		}
		if v := f.Check(b); v.Action != chain.Accept {
			return cost{}, errors.New("bench: a message is refused: " + v.Reason)
		}
	}
	return start.end().each(len(msgs)), nil
}

// judgeOpNode has op-node do the same.
func judgeOpNode(n *opNode, file string, messages, copies int) (cost, error) {
	var m struct {
		Messages, Accepted int
		Nanoseconds, CPU   int64
	}
	err := n.Try(map[string]any{"do": "measure", "params": map[string]any{"file": file, "copies": copies}}, &m)
	if err == nil && (m.Accepted != messages || m.Messages != messages) {
		err = fmt.Errorf("bench: op-node accepts %d of %d messages", m.Accepted, messages)
	}
	return cost{time.Duration(m.Nanoseconds), time.Duration(m.CPU)}.each(max(m.Messages, 1)), err
}
