package devp2p

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
	"github.com/starlingp2p/starling/wire/internal/framed"
)

// hear hands gossip of the peer to the Host.
func (s *session) hear(f framed.Frame, code uint64) error {
	switch code {
	case eth.TransactionsMsg:
		m, err := eth.DecodeTransactions(f.Payload)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(m.Txs, func(tx []byte) bool { return eth.TxKind(tx) == blobKind }) {
			// Before it is hashed, and long before its proofs are verified.
			return &wire.Fault{Offense: peer.InvalidGossip, Err: errors.New("devp2p: a transaction with blobs was pushed: they are announced, and sent to whoever asks (EIP-4844)")}
		}
		if len(m.Txs) > 0 {
			s.check(wire.Txs{Txs: txsOf(m.Txs)})
		}
	case eth.NewPooledTransactionHashesMsg:
		m, err := eth.DecodeNewPooledTransactionHashes(f.Payload)
		if err != nil {
			return err
		}
		if m.Excess > 0 {
			s.charge(peer.RequestFlood, peer.Severity(-1-m.Excess/1000), fmt.Sprintf("%d transactions announced over %d at once", m.Excess, eth.MaxAnnounced))
		}
		ids := make([]wire.TxID, len(m.Txs))
		for i, tx := range m.Txs {
			ids[i] = wire.TxID{Hash: tx.Hash, Kind: tx.Kind, Size: tx.Size}
		}
		if len(ids) > 0 {
			s.check(wire.TxAnnounce{Txs: ids})
		}
	case eth.NewBlockHashesMsg:
		m, err := eth.DecodeNewBlockHashes(f.Payload)
		if err != nil {
			return err
		}
		for _, ref := range m.Blocks {
			s.check(wire.BlockAnnounce{Ref: ref})
		}
	case eth.NewBlockMsg:
		m, err := eth.DecodeNewBlock(f.Payload)
		if err != nil {
			return err
		}
		h, err := eth.ParseHeader(append([]byte(nil), m.Header...))
		if err != nil {
			return err
		}
		s.claims(chain.Status{
			Network: fmt.Sprint(s.node.w.cfg.NetworkID), Genesis: s.node.w.cfg.Status().Genesis, Head: h.Ref, Weight: m.Difficulty,
		})
		s.check(wire.Block{Block: chain.Block{Header: h, Body: m.Body}, Weight: m.Difficulty})
	}
	return nil
}

func (s *session) check(m wire.Message) {
	if s.ctx.Err() == nil {
		s.node.host.Check(s.ctx, s, m)
	}
}

// Send implements wire.Session. Transactions and announcements go out in packs
// of 100 KiB; blocks only where the version has them, with their weight as the
// total difficulty.
func (s *session) Send(ctx context.Context, l wire.Lane, m wire.Message) error {
	select {
	case <-s.Done():
		return wire.ErrClosed
	default:
	}
	switch m := m.(type) {
	case wire.Txs:
		return s.sendTxs(ctx, l, m.Txs)
	case wire.TxAnnounce:
		return s.announceTxs(ctx, l, m.Txs)
	case wire.Block:
		if s.version.HasDifficulty() {
			return s.sendBlock(ctx, l, m)
		}
	case wire.BlockAnnounce:
		if s.version.HasDifficulty() {
			return s.write(ctx, l, s.share, eth.NewBlockHashesMsg, eth.NewBlockHashes{Blocks: []chain.Ref{m.Ref}}.Append(nil), 0)
		}
	}
	return fmt.Errorf("devp2p: %T over %v: %w", m, s.version, wire.ErrUnsupported)
}

func (s *session) sendTxs(ctx context.Context, l wire.Lane, txs []chain.Tx) error {
	for len(txs) > 0 {
		var pack [][]byte
		size := 0
		for _, tx := range txs {
			if len(tx.Bytes) > maxMessage-1024 {
				return fmt.Errorf("devp2p: transaction of %d bytes: %w", len(tx.Bytes), wire.ErrTooLarge)
			}
			if len(pack) > 0 && (size+len(tx.Bytes) > eth.MaxPackBytes || len(pack) == eth.MaxTxs) {
				break
			}
			pack = append(pack, tx.Bytes)
			size += len(tx.Bytes)
		}
		if err := s.write(ctx, l, s.share, eth.TransactionsMsg, eth.Transactions{Txs: pack}.Append(nil), 0); err != nil {
			return err
		}
		txs = txs[len(pack):]
	}
	return nil
}

// announcedBytes is about what one announcement takes in a pack.
const announcedBytes = 32

func (s *session) announceTxs(ctx context.Context, l wire.Lane, ids []wire.TxID) error {
	for len(ids) > 0 {
		n := min(len(ids), eth.MaxPackBytes/announcedBytes, eth.MaxAnnounced)
		pack := make([]eth.Announced, n)
		for i, id := range ids[:n] {
			pack[i] = eth.Announced{Hash: id.Hash, Kind: id.Kind, Size: id.Size}
		}
		if err := s.write(ctx, l, s.share, eth.NewPooledTransactionHashesMsg, eth.NewPooledTransactionHashes{Txs: pack}.Append(nil), 0); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (s *session) sendBlock(ctx context.Context, l wire.Lane, m wire.Block) error {
	if m.Weight == (chain.Weight{}) {
		return fmt.Errorf("devp2p: block %v without its weight: a peer would not believe it: %w", m.Block.Ref(), wire.ErrUnsupported)
	}
	if m.Block.Size() > maxMessage-1024 {
		return fmt.Errorf("devp2p: block of %d bytes: %w", m.Block.Size(), wire.ErrTooLarge)
	}
	payload, err := eth.NewBlock{Header: m.Block.Header.Bytes, Body: m.Block.Body, Difficulty: m.Weight}.Append(nil)
	if err != nil {
		return fmt.Errorf("devp2p: our block %v is malformed: %v", m.Block.Ref(), err)
	}
	return s.write(ctx, l, s.share, eth.NewBlockMsg, payload, 0)
}
