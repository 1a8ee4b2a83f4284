package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/ethereum/go-ethereum/p2p"
)

// echo is a protocol that an embedder of geth would add: it answers each message
// of code 0 with one of the highest code and the same payload.
type echo struct {
	Name    string `json:"name"`
	Version uint   `json:"version"`
	Length  uint64 `json:"length"`
}

func (e echo) protocol() p2p.Protocol {
	return p2p.Protocol{Name: e.Name, Version: e.Version, Length: e.Length, Run: func(_ *p2p.Peer, rw p2p.MsgReadWriter) error {
		for {
			m, err := rw.ReadMsg()
			if err != nil {
				return err
			}
			if m.Code != 0 {
				return errors.New("only code 0 is a question")
			}
			b, err := io.ReadAll(m.Payload)
			if err != nil {
				return err
			}
			if err := rw.WriteMsg(p2p.Msg{Code: e.Length - 1, Size: uint32(len(b)), Payload: bytes.NewReader(b)}); err != nil {
				return err
			}
		}
	}}
}
