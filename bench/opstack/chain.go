package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/starlingp2p/starling/bench/internal/raw"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

const (
	chainID   = 901
	blockTime = 2 * time.Second
	signerKey = "00000000000000000000000000000000000000000000000000000000000a11ce"
)

// chainOf is the one whose blocks are synced.
func chainOf(genesis uint64) (family.Config, error) {
	key, err := codec.ParseKey(signerKey)
	if err != nil {
		return family.Config{}, err
	}
	c := family.Config{
		Network: "bench", ChainID: chainID, BlockTime: blockTime, Signer: key.Address(),
		Genesis: family.Genesis{Hash: chain.Hash{1}, Time: genesis},
	}
	for _, name := range []string{"canyon", "ecotone", "isthmus"} {
		c.Forks = append(c.Forks, family.Fork{Name: name})
	}
	return c, nil
}

// source is a chain in a ledger.
type source struct {
	dir     string
	network family.Config
	head    chain.Ref
	bytes   int // of its database
}

// draw gives transactions that do not compress, with size bytes in all.
func draw(random *rand.ChaCha8, txs, size int) [][]byte {
	out := make([][]byte, txs)
	for i := range out {
		out[i] = make([]byte, size/txs)
		random.Read(out[i])
		out[i][0] = 2
	}
	return out
}

// generate makes a ledger of blocks of one transaction of size bytes.
func generate(dir string, blocks, size int) (s source, err error) {
	s.dir = dir
	if s.network, err = chainOf(uint64(time.Now().Unix()) - uint64(blocks+1)*2); err != nil {
		return s, err
	}
	f, err := family.New(s.network)
	if err != nil {
		return s, err
	}
	l, err := ledger.Open(dir, ledger.Options{Family: f})
	if err != nil {
		return s, err
	}
	random := rand.NewChaCha8([32]byte{1})
	parent := f.Spec().Genesis.Header
	var batch []chain.Block
	for n := range blocks {
		e, err := codec.Draft{Version: codec.V4, Parent: parent.Ref, Time: uint64(parent.Time.Unix()) + 2, Txs: draw(random, 1, size)}.Envelope()
		if err != nil {
			return s, errors.Join(err, l.Close())
		}
		b, err := e.Block(nil)
		if err != nil {
			return s, errors.Join(err, l.Close())
		}
		parent = b.Header
		if batch = append(batch, b); len(batch) == 64 || n == blocks-1 {
			if _, err := l.Import(context.Background(), batch); err != nil {
				return s, errors.Join(err, l.Close())
			}
			batch = nil
		}
	}
	s.head = l.Status().Head
	if err := l.Close(); err != nil {
		return s, err
	}
	s.bytes, err = raw.Settle(dir)
	return s, err
}

// messages makes gossip of blocks of so many transactions, and writes them into
// a file as well, each behind its length.
func messages(dir string, count, txs, size int) (msgs [][]byte, path string, err error) {
	key, err := codec.ParseKey(signerKey)
	if err != nil {
		return nil, "", err
	}
	random := rand.NewChaCha8([32]byte{2})
	var file []byte
	for n := range count {
		e, err := codec.Draft{Version: codec.V4, Parent: chain.Ref{Number: uint64(n), Hash: chain.Hash{1}}, Time: uint64(time.Now().Unix()) - 10, Txs: draw(random, txs, size)}.Envelope()
		if err != nil {
			return nil, "", err
		}
		sig, err := key.SignEnvelope(chainID, e)
		if err != nil {
			return nil, "", err
		}
		m := codec.Compress(codec.Message(sig, e))
		msgs = append(msgs, m)
		file = append(binary.AppendUvarint(file, uint64(len(m))), m...)
	}
	path = filepath.Join(dir, "messages")
	return msgs, path, os.WriteFile(path, file, 0o600)
}
