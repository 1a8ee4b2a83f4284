package ontology

import (
	"errors"
	"fmt"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// VerifyHeaders implements chain.Checker. It uses CPU for signatures.
func (f *Family) VerifyHeaders(parent chain.Header, hs []chain.Header) (int, error) {
	if len(hs) == 0 {
		return 0, nil
	}
	above, err := decode(parent)
	if err != nil {
		return 0, fmt.Errorf("ontology: parent %v: %w: %w", parent.Ref, chain.ErrInvalid, err)
	}
	for i, ch := range hs {
		h, err := decode(ch)
		if err == nil {
			err = f.verify(above, h)
		}
		if err != nil {
			return i, fmt.Errorf("ontology: header %v: %w: %w", ch.Ref, chain.ErrInvalid, err)
		}
		f.named(h)
		above = h
	}
	return len(hs), nil
}

// verify checks one header against its parent: what costs nothing first.
func (f *Family) verify(parent, h codec.Header) error {
	switch {
	case h.Prev != parent.Hash:
		return fmt.Errorf("its parent is %s, want %s", h.Prev, parent.Hash)
	case uint64(h.Height) != uint64(parent.Height)+1:
		return fmt.Errorf("its number is %d, its parent's %d", h.Height, parent.Height)
	case h.Time <= parent.Time:
		return fmt.Errorf("its time %d is not above its parent's %d", h.Time, parent.Time)
	case f.network.kind() == VBFT:
		return f.verifyVBFT(parent, h)
	}
	return f.verifyBookkeepers(parent, h)
}

// verifyBookkeepers is the rule of DBFT and solo networks.
func (f *Family) verifyBookkeepers(parent, h codec.Header) error {
	if len(h.Keys) == 0 || len(h.Keys) > maxSigners {
		return fmt.Errorf("it lists %d signers, want 1 to %d", len(h.Keys), maxSigners)
	}
	keys, err := f.parse(h.Keys)
	if err != nil {
		return err
	}
	at, err := codec.AddressOfBookkeepers(keys)
	if err != nil {
		return err
	}
	if at != parent.NextBookkeeper && (len(keys) > 1 || codec.AddressOfKey(keys[0].Bytes()) != parent.NextBookkeeper) {
		return fmt.Errorf("its signers are %s, its parent names %s", at, parent.NextBookkeeper)
	}
	if err := verifySigs(h, keys, codec.Quorum(len(keys))); err != nil {
		return err
	}
	f.haveSigned(keys)
	return nil
}

// checkSigners is what can be said of a header without its parent.
func (f *Family) checkSigners(h codec.Header) error {
	if f.network.kind() == VBFT {
		info, err := parseInfo(h.Payload)
		if err != nil {
			return err
		}
		m, err := f.membersAt(info.LastConfig)
		if info.Config != nil || err != nil {
			return nil // the parent tells
		}
		if err := m.check(h.Keys); err != nil {
			return err
		}
		keys, err := f.parse(h.Keys)
		if err != nil {
			return err
		}
		return verifySigs(h, keys, m.quorum())
	}
	if len(h.Keys) > maxSigners {
		return errUnsigned
	}
	keys, err := f.parse(h.Keys)
	if err != nil {
		return err
	}
	at, err := codec.AddressOfBookkeepers(keys)
	if err != nil {
		return err
	}
	if !f.mayBeStrangers(h.Height, at) && (len(keys) > 1 || !f.mayBeStrangers(h.Height, codec.AddressOfKey(keys[0].Bytes()))) {
		return fmt.Errorf("its signers are %s, whom nobody has named", at)
	}
	return verifySigs(h, keys, codec.Quorum(len(keys)))
}

// maxSigners is how many keys make an address.
const maxSigners = 16

// verifyVBFT is the newest release's rule. v1.0.0 has none.
func (f *Family) verifyVBFT(parent, h codec.Header) error {
	info, err := parseInfo(h.Payload)
	if err != nil {
		return err
	}
	number := info.LastConfig
	if info.Config != nil { // it counts from the next block on
		above, err := parseInfo(parent.Payload)
		if err != nil {
			return err
		}
		if number = above.LastConfig; above.Config != nil {
			number = parent.Height
		}
	}
	if number > parent.Height {
		return fmt.Errorf("its configuration is of block %d, its parent has number %d", number, parent.Height)
	}
	m, err := f.membersAt(number)
	if err != nil {
		return err
	}
	if err := m.check(h.Keys); err != nil {
		return err
	}
	keys, err := f.parse(h.Keys)
	if err != nil {
		return err
	}
	if err := verifySigs(h, keys, m.quorum()); err != nil {
		return err
	}
	f.haveSigned(keys)
	if info.Config == nil {
		return nil
	}
	next, err := info.Config.members()
	if err != nil {
		return err
	}
	f.learn(h.Height, next)
	return nil
}

func (f *Family) parse(raw [][]byte) ([]codec.Key, error) {
	keys := make([]codec.Key, len(raw))
	for i, b := range raw {
		k, err := f.key(b)
		if err != nil {
			return nil, err
		}
		keys[i] = k
	}
	return keys, nil
}

var errUnsigned = errors.New("it is not signed by enough of its signers")

// verifySigs checks that the first m signatures are by distinct ones of the
// keys. There are at most as many signatures as keys.
func verifySigs(h codec.Header, keys []codec.Key, m int) error {
	if m < 1 || len(h.Sigs) < m || m > len(keys) {
		return fmt.Errorf("%w: %d signatures of %d keys, want %d", errUnsigned, len(h.Sigs), len(keys), m)
	}
	used := make([]bool, len(keys))
	for i, sig := range h.Sigs[:m] {
		found := false
		for d := range keys {
			j := (i + d) % len(keys) // as a rule they are in one order
			if !used[j] && keys[j].Verify(h.Hash[:], sig) {
				used[j], found = true, true
				break
			}
		}
		if !found {
			return errUnsigned
		}
	}
	return nil
}
