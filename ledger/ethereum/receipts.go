package ethereum

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// verifyReceipts checks a block's receipts, in the form of eth/69, against its
// header: their root, in which each has a bloom, the union of the blooms, and
// the gas.
func verifyReceipts(h *types.Header, txs int, extra []byte) error {
	in, rest, err := rlp.SplitList(extra)
	if err := whole(rest, err); err != nil {
		return fmt.Errorf("its receipts: %w", err)
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
		return fmt.Errorf("the bloom of its receipts is %#x…, the header says %#x…", all[:8], h.Bloom[:8])
	case len(items) > 0 && gas != h.GasUsed:
		return fmt.Errorf("its receipts used %d gas, the header says %d", gas, h.GasUsed)
	}
	return nil
}

// consensusReceipt makes [type, status, gas, logs] what the root is over: the
// type, if it has one, before [status, gas, bloom, logs].
func consensusReceipt(item []byte) (out []byte, bloom types.Bloom, gas uint64, err error) {
	in, rest, err := rlp.SplitList(item)
	if err := whole(rest, err); err != nil {
		return nil, bloom, 0, err
	}
	kind, in, err := rlp.SplitUint64(in)
	if err != nil {
		return nil, bloom, 0, fmt.Errorf("type: %w", err)
	}
	if kind > maxTxType {
		return nil, bloom, 0, fmt.Errorf("type %d is over %d", kind, maxTxType)
	}
	status, in, err := rlp.SplitString(in)
	if err != nil {
		return nil, bloom, 0, fmt.Errorf("status: %w", err)
	}
	if len(status) > 1 && len(status) != 32 {
		return nil, bloom, 0, fmt.Errorf("status has %d bytes, want 0, 1 or, for a root, 32", len(status))
	}
	if gas, in, err = rlp.SplitUint64(in); err != nil {
		return nil, bloom, 0, fmt.Errorf("gas: %w", err)
	}
	logs, rest, err := rlp.SplitList(in)
	if err := whole(rest, err); err != nil {
		return nil, bloom, 0, fmt.Errorf("logs: %w", err)
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

// maxTxType is the highest type of a transaction, and of its receipt (EIP-2718).
const maxTxType = 0x7f

// whole is what is wrong with a list that was split off, if it is all there
// should be.
func whole(rest []byte, err error) error {
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes are left over behind the list", len(rest))
	}
	return err
}

// bloomOf is the filter over logs, each [address, topics, data].
func bloomOf(logs []byte) (bloom types.Bloom, err error) {
	for i := 0; len(logs) > 0; i++ {
		var log []byte
		if log, logs, err = rlp.SplitList(logs); err == nil {
			err = addLog(&bloom, log)
		}
		if err != nil {
			return bloom, fmt.Errorf("log %d: %w", i, err)
		}
	}
	return bloom, nil
}

func addLog(bloom *types.Bloom, log []byte) error {
	address, log, err := rlp.SplitString(log)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if len(address) != common.AddressLength {
		return fmt.Errorf("address has %d bytes, want %d", len(address), common.AddressLength)
	}
	bloom.Add(address)
	topics, _, err := rlp.SplitList(log)
	if err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	for i := 0; len(topics) > 0; i++ {
		var topic []byte
		if topic, topics, err = rlp.SplitString(topics); err != nil {
			return fmt.Errorf("topic %d: %w", i, err)
		}
		if len(topic) != common.HashLength {
			return fmt.Errorf("topic %d has %d bytes, want %d", i, len(topic), common.HashLength)
		}
		bloom.Add(topic)
	}
	return nil
}
