package rules

import (
	"sync"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Grace is how long the signer before the current one is still accepted, unless
// a block of the current one comes earlier (op-node/p2p, #20063).
const Grace = 3 * time.Hour

// Signers are the accounts whose signatures count. It is safe for concurrent
// use.
type Signers struct {
	mu       sync.Mutex // a leaf
	current  codec.Address
	previous codec.Address
	until    time.Time // of previous
	good     time.Time // when a signature counted last
}

// Set makes an account the signer; the one before stays good for Grace. The
// zero address means that none is configured. It reports whether that changed
// anything.
func (s *Signers) Set(a codec.Address) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a == s.current {
		return false
	}
	if s.current != (codec.Address{}) {
		s.previous, s.until = s.current, time.Now().Add(Grace)
	}
	s.current = a
	return true
}

// Current is the signer; the zero address if none is configured.
func (s *Signers) Current() codec.Address {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// LastGood is when a signature was found to count last; the zero time if none
// was yet.
func (s *Signers) LastGood() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good
}

// Check reports whether sig is a signature of a signer that counts.
func (s *Signers) Check(signing chain.Hash, sig []byte) bool {
	who, err := codec.Recover(signing, sig)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current == codec.Address{}:
		return false
	case who == s.current:
		s.previous = codec.Address{}
	case s.previous != codec.Address{} && who == s.previous && time.Now().Before(s.until):
	default:
		return false
	}
	s.good = time.Now()
	return true
}
