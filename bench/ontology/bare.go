package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/starlingp2p/starling/wire/ontology/codec"
)

const (
	magic    = 299
	pipeline = 256 // questions for blocks at once: more makes v1.0.0 no faster
)

// bare is the plainest client: it speaks v1.0.0's protocol over one connection,
// believes all that comes and keeps none of it.
type bare struct {
	c   net.Conn
	in  *bufio.Reader
	out *bufio.Writer
}

// dialBare connects and shakes hands as v1.0.0.
func dialBare(ctx context.Context, addr string, nonce uint64) (b *bare, err error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	b = &bare{c: c, in: bufio.NewReaderSize(c, 256<<10), out: bufio.NewWriterSize(c, 64<<10)}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	b.post(codec.CmdVersion, codec.Version{Services: 2, Time: time.Now().UnixNano(), SyncPort: 1, Nonce: nonce, Relay: true}.Append(nil))
	for _, want := range []codec.Command{codec.CmdVersion, codec.CmdVerAck} {
		got, _, err := b.next()
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, fmt.Errorf("bench: %s in the handshake, want %s", got, want)
		}
		if want == codec.CmdVersion {
			b.post(codec.CmdVerAck, []byte{0})
		}
	}
	c.SetDeadline(time.Time{})
	return b, nil
}

// post buffers a message; its error shows when something is read.
func (b *bare) post(c codec.Command, payload []byte) {
	frame, err := codec.AppendFrame(b.out.AvailableBuffer(), magic, c, payload)
	if err == nil {
		b.out.Write(frame)
	}
}

// next gives the next message. What was posted goes out before it waits.
func (b *bare) next() (codec.Command, []byte, error) {
	if b.in.Buffered() < codec.HeadSize {
		if err := b.out.Flush(); err != nil {
			return 0, nil, err
		}
	}
	var head [codec.HeadSize]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil {
		return 0, nil, err
	}
	h, err := codec.DecodeHead(head[:], magic)
	if err != nil {
		return 0, nil, err
	}
	if b.in.Buffered() < h.Size {
		if err := b.out.Flush(); err != nil {
			return 0, nil, err
		}
	}
	body := make([]byte, h.Size)
	_, err = io.ReadFull(b.in, body)
	return h.Command, body, err
}

// fetch gets all headers behind genesis and the block of each, up to count: one
// after the other, or with overlap blocks as soon as their hashes are known.
func (b *bare) fetch(genesis codec.Hash, count int, overlap bool) error {
	var want []codec.Hash
	asked, got := 0, 0
	ask := func(behind codec.Hash) { b.post(codec.CmdGetHeaders, codec.GetHeaders{End: behind}.Append(nil)) }
	ask(genesis)
	for got < count {
		c, body, err := b.next()
		if err != nil {
			return err
		}
		switch c {
		case codec.CmdPing:
			b.post(codec.CmdPong, codec.Pong{}.Append(nil))
		case codec.CmdHeaders:
			hs, err := codec.DecodeHeaders(body, codec.Lenient)
			if err != nil || len(hs.Headers) == 0 {
				return errors.Join(err, fmt.Errorf("bench: %d headers of %d", len(want), count))
			}
			for _, h := range hs.Headers {
				want = append(want, h.Hash)
			}
			if len(want) < count {
				ask(want[len(want)-1])
			}
		case codec.CmdBlock:
			got++
		case codec.CmdNotFound:
			return errors.New("bench: a block is not there")
		}
		for (overlap || len(want) >= count) && asked < len(want) && asked-got < pipeline {
			b.post(codec.CmdGetData, codec.GetData{Kind: codec.KindBlock, Hash: want[asked]}.Append(nil))
			asked++
		}
	}
	return nil
}

// fetchBare times a whole fetch, the dial included.
func fetchBare(ctx context.Context, addr string, genesis codec.Hash, count int, overlap bool, nonce uint64) (time.Duration, error) {
	began := time.Now()
	b, err := dialBare(ctx, addr, nonce)
	if err != nil {
		return 0, err
	}
	defer b.c.Close()
	stop := context.AfterFunc(ctx, func() { b.c.Close() })
	defer stop()
	if err := b.fetch(genesis, count, overlap); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
