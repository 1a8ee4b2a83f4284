package chaintest_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/chain/chaintest"
)

// timed is h with the time that its bytes say.
func timed(h chain.Header) chain.Header {
	const at = 44
	if len(h.Bytes) >= at+8 {
		h.Time = time.UnixMilli(int64(binary.BigEndian.Uint64(h.Bytes[at:]))).UTC()
	}
	return h
}

func checkerMutants() []breaks {
	return []breaks{
		{rule: "check-accepts-valid", does: "an unknown parent is rejected", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				if b.Header.Parent != m.Status().Head.Hash {
					return chain.Rejected("no-parent")
				}
				return m.Chain.Check(b)
			}
		}},
		{rule: "check-rejects-forged", does: "the seal is not looked at", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				v := m.Chain.Check(b)
				if v.Reason == chaintest.ReasonSeal {
					return chain.Accepted()
				}
				return v
			}
		}},
		{rule: "check-rejects-forged", does: "rejecting costs nothing", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				v := m.Chain.Check(b)
				v.Severity = 0
				return v
			}
		}},
		{rule: "check-rejects-relabelled", does: "the time beside the bytes is not looked at", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				b.Header = timed(b.Header)
				return m.Chain.Check(b)
			}
		}},
		{rule: "check-rejects-relabelled", does: "the body is not looked at", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				v := m.Chain.Check(b)
				if v.Reason == chaintest.ReasonBody {
					return chain.Accepted()
				}
				return v
			}
		}},
		{rule: "headers-all-good", does: "no headers are an error", mutate: func(m *mutant) {
			m.verifyHeaders = func(parent chain.Header, hs []chain.Header) (int, error) {
				if len(hs) == 0 {
					return 0, chain.ErrInvalid
				}
				return m.Chain.VerifyHeaders(parent, hs)
			}
		}},
		{rule: "headers-first-bad", does: "one bad spoils all", mutate: func(m *mutant) {
			m.verifyHeaders = func(parent chain.Header, hs []chain.Header) (int, error) {
				n, err := m.Chain.VerifyHeaders(parent, hs)
				if err != nil {
					n = 0
				}
				return n, err
			}
		}},
		{rule: "headers-first-bad", does: "the error is not ErrInvalid", mutate: func(m *mutant) {
			m.verifyHeaders = func(parent chain.Header, hs []chain.Header) (int, error) {
				n, err := m.Chain.VerifyHeaders(parent, hs)
				if err != nil {
					err = errPlain
				}
				return n, err
			}
		}},
		{rule: "headers-link", does: "each is looked at alone", mutate: func(m *mutant) {
			m.verifyHeaders = func(_ chain.Header, hs []chain.Header) (int, error) {
				for i, h := range hs {
					parent := chain.Header{Ref: chain.Ref{Number: h.Ref.Number - 1, Hash: h.Parent}}
					if _, err := m.Chain.VerifyHeaders(parent, hs[i:i+1]); err != nil {
						return i, err
					}
				}
				return len(hs), nil
			}
		}},
		{rule: "headers-relabelled", does: "the time beside the bytes is not looked at", mutate: func(m *mutant) {
			m.verifyHeaders = func(parent chain.Header, hs []chain.Header) (int, error) {
				var right []chain.Header
				for _, h := range hs {
					right = append(right, timed(h))
				}
				return m.Chain.VerifyHeaders(parent, right)
			}
		}},
		{rule: "body-good", does: "the third has no good body", mutate: func(m *mutant) {
			m.verifyBody = func(h chain.Header, body, extra []byte) error {
				if h.Ref.Number == 3 {
					return chain.ErrInvalid
				}
				return m.Chain.VerifyBody(h, body, extra)
			}
		}},
		{rule: "body-bad", does: "the error is not ErrInvalid", mutate: func(m *mutant) {
			m.verifyBody = func(h chain.Header, body, extra []byte) error {
				if m.Chain.VerifyBody(h, body, extra) != nil {
					return errPlain
				}
				return nil
			}
		}},
		{rule: "body-bad", does: "an empty body is always good", mutate: func(m *mutant) {
			m.verifyBody = func(h chain.Header, body, extra []byte) error {
				if len(body) == 0 {
					return nil
				}
				return m.Chain.VerifyBody(h, body, extra)
			}
		}},
		{rule: "extra-bad", does: "the extra is not looked at", mutate: func(m *mutant) {
			m.verifyBody = func(h chain.Header, body, _ []byte) error {
				digest := sha256.Sum256(body)
				extra := sha256.Sum256(append([]byte("extra"), digest[:]...))
				return m.Chain.VerifyBody(h, body, extra[:8])
			}
		}},
		{rule: "checks-are-concurrent", does: "a check imports what it accepts", mutate: func(m *mutant) {
			m.check = func(b chain.Block) chain.Verdict {
				v := m.Chain.Check(b)
				if v.Action == chain.Accept {
					if err := m.take(b); err != nil && !errors.Is(err, chain.ErrUnknownParent) {
						panic(err)
					}
				}
				return v
			}
		}},
	}
}
