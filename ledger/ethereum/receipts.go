package ethereum

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// verifyReceipts checks a block's receipts, in the form of eth/69, against its
// header: their root, in which each has a bloom, the union of the blooms, and
// the gas.
func verifyReceipts(h *types.Header, txs int, extra []byte) error {
	in, rest, err := rlp.SplitList(extra)
	if err != nil || len(rest) > 0 {
		return errors.New("its receipts are no list")
	}
	items, err := splitItems(in, leastReceipt)
	if err != nil {
		return fmt.Errorf("its receipts: %w", err)
	}
	if len(items) != txs {
		return fmt.Errorf("it has %d receipts for %d transactions", len(items), txs)
	}
	var all types.Bloom
	gas := uint64(0)
	for i, item := range items {
		var bloom types.Bloom
		if items[i], bloom, gas, err = consensusReceipt(item); err != nil {
			return fmt.Errorf("receipt %d: %w", i, err)
		}
		for k := range all {
			all[k] |= bloom[k]
		}
	}
	switch root := rootOf(items); {
	case root != [32]byte(h.ReceiptHash):
		return fmt.Errorf("its receipts' root is %v, the header says %v", root, h.ReceiptHash)
	case all != h.Bloom:
		return errors.New("the bloom of its receipts is not the header's")
	case len(items) > 0 && gas != h.GasUsed:
		return fmt.Errorf("its receipts used %d gas, the header says %d", gas, h.GasUsed)
	}
	return nil
}

// consensusReceipt makes [type, status, gas, logs] what the root is over: the
// type, if it has one, before [status, gas, bloom, logs].
func consensusReceipt(item []byte) (out []byte, bloom types.Bloom, gas uint64, err error) {
	in, rest, err := rlp.SplitList(item)
	if err != nil || len(rest) > 0 {
		return nil, bloom, 0, errors.New("it is no list")
	}
	kind, in, err := rlp.SplitUint64(in)
	if err != nil || kind > 0x7f {
		return nil, bloom, 0, errors.New("it has no type")
	}
	status, in, err := rlp.SplitString(in)
	if err != nil || len(status) > 1 && len(status) != 32 {
		return nil, bloom, 0, errors.New("it has no status")
	}
	if gas, in, err = rlp.SplitUint64(in); err != nil {
		return nil, bloom, 0, errors.New("it has no gas")
	}
	logs, rest, err := rlp.SplitList(in)
	if err != nil || len(rest) > 0 {
		return nil, bloom, 0, errors.New("it has no logs")
	}
	if bloom, err = bloomOf(logs); err != nil {
		return nil, bloom, 0, err
	}
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	w.WriteBytes(status)
	w.WriteUint64(gas)
	w.WriteBytes(bloom[:])
	w.Write(in)
	w.ListEnd(list)
	if kind != 0 {
		out = append(out, byte(kind))
	}
	return w.AppendToBytes(out), bloom, gas, nil
}

// bloomOf is the filter over logs, each [address, topics, data].
func bloomOf(logs []byte) (bloom types.Bloom, err error) {
	for len(logs) > 0 {
		var log, address, topics, topic []byte
		if log, logs, err = rlp.SplitList(logs); err != nil {
			return bloom, errors.New("a log is no list")
		}
		if address, log, err = rlp.SplitString(log); err != nil || len(address) != 20 {
			return bloom, errors.New("a log has no address")
		}
		bloom.Add(address)
		if topics, _, err = rlp.SplitList(log); err != nil {
			return bloom, errors.New("a log has no topics")
		}
		for len(topics) > 0 {
			if topic, topics, err = rlp.SplitString(topics); err != nil || len(topic) != 32 {
				return bloom, errors.New("a log has a topic that is no hash")
			}
			bloom.Add(topic)
		}
	}
	return bloom, nil
}
