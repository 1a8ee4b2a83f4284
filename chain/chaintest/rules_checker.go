package chaintest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/starlingp2p/starling/chain"
)

func checkerRules() []Rule {
	return []Rule{
		{Name: "check-accepts-valid", Says: "Check accepts a valid block, and needs no parent for it.", Check: checkAccepts},
		{Name: "check-rejects-forged", Says: "Check rejects what an honest relay would not have sent, with a reason and a severity.", Check: checkRejects},
		{Name: "check-rejects-relabelled", Says: "Check accepts no header under another number, parent, time or hash, and no other body.", Check: checkRelabelled},
		{Name: "headers-all-good", Says: "VerifyHeaders gives n = all and nil for headers that link and are authentic.", Check: headersGood},
		{Name: "headers-first-bad", Says: "n headers are good; the error is about the next and wraps ErrInvalid.", Check: headersBad},
		{Name: "headers-link", Says: "Each header links to the one before it, the first to the parent.", Check: headersLink},
		{Name: "headers-relabelled", Says: "A header under another number, parent, time or hash than its bytes' is not authentic.", Check: headersRelabelled},
		{Name: "body-good", Says: "VerifyBody takes the body and extra of a header.", Check: bodyGood},
		{Name: "body-bad", Says: "VerifyBody refuses another body with ErrInvalid.", Check: bodyBad},
		{
			Name: "extra-bad", Says: "VerifyBody refuses another extra with ErrInvalid.", Check: extraBad,
			Needs: func(f Factory) bool { return !f.FreeExtra }, Absent: "this chain's Extra cannot be checked",
		},
		{Name: "checks-are-concurrent", Says: "All checks are called concurrently, and a check changes nothing.", Check: checksConcurrent},
	}
}

func checkAccepts(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	for _, b := range e.build(g.Header, 5, 0) { // none is imported
		if v := e.Chain.Check(b); v.Action != chain.Accept {
			return fmt.Errorf("Check of the valid block %s = %s, want accept", b.Ref(), v)
		}
	}
	return nil
}

// forged gives forms of b that no check may pass, in order of their names.
func (e *Env) forged(b chain.Block) (names []string, blocks map[string]chain.Block) {
	blocks = map[string]chain.Block{}
	if e.f.Forge != nil {
		blocks = maps.Clone(e.f.Forge(e.t, b))
	}
	cut := copyBlock(b)
	cut.Header.Bytes = cut.Header.Bytes[:len(cut.Header.Bytes)-1]
	blocks["header cut short"] = cut
	long := copyBlock(b)
	long.Header.Bytes = append(long.Header.Bytes, 0)
	blocks["header with a byte behind it"] = long
	none := copyBlock(b)
	none.Header.Bytes = nil
	blocks["no header"] = none
	for _, at := range []int{0, len(b.Header.Bytes) / 2, len(b.Header.Bytes) - 1} {
		turned := copyBlock(b)
		turned.Header.Bytes = flip(b.Header.Bytes, at)
		blocks[fmt.Sprintf("header with byte %d turned", at)] = turned
	}
	return slices.Sorted(maps.Keys(blocks)), blocks
}

func checkRejects(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	// Over a parent that is not known here, a chain whose signers change cannot
	// tell a forger from somebody who was let in meanwhile.
	b := e.build(g.Header, 1, 0)[0]
	names, forged := e.forged(b)
	for _, name := range names {
		v := e.Chain.Check(forged[name])
		if v.Action != chain.Reject || v.Severity >= 0 || v.Reason == "" {
			return fmt.Errorf("Check of a block that is forged (%s) = %s, severity %s; want reject with a reason and a severity", name, v, v.Severity)
		}
	}
	return nil
}

// relabelled gives forms of h whose fields are not what its bytes say.
func relabelled(h chain.Header) map[string]chain.Header {
	number, parent, at, hash := h, h, h, h
	number.Ref.Number++
	parent.Parent[0] ^= 1
	at.Time = at.Time.Add(time.Hour)
	hash.Ref.Hash[0] ^= 1
	return map[string]chain.Header{"number": number, "parent": parent, "time": at, "hash": hash}
}

func checkRelabelled(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	pair := e.build(g.Header, 2, 0)
	b := pair[1]
	for what, h := range relabelled(b.Header) {
		if v := e.Chain.Check(chain.Block{Header: h, Body: b.Body, Extra: b.Extra}); v.Action == chain.Accept {
			return fmt.Errorf("Check accepts a block under another %s", what)
		}
	}
	if bytes.Equal(pair[0].Body, b.Body) {
		return nil
	}
	if v := e.Chain.Check(chain.Block{Header: b.Header, Body: pair[0].Body, Extra: b.Extra}); v.Action == chain.Accept {
		return errors.New("Check accepts a block with the body of another")
	}
	return nil
}

func headersGood(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	hs := Headers(e.build(g.Header, 12, 0))
	for _, tt := range []struct {
		parent chain.Header
		hs     []chain.Header
	}{{g.Header, hs}, {g.Header, hs[:1]}, {hs[4], hs[5:]}, {hs[3], nil}} {
		if n, err := e.Chain.VerifyHeaders(tt.parent, tt.hs); n != len(tt.hs) || err != nil {
			return fmt.Errorf("VerifyHeaders of %d good headers = %d, %v", len(tt.hs), n, err)
		}
	}
	return nil
}

// wantBad checks that exactly the first n of hs pass.
func (e *Env) wantBad(what string, parent chain.Header, hs []chain.Header, n int) error {
	got, err := e.Chain.VerifyHeaders(parent, hs)
	if got != n || !errors.Is(err, chain.ErrInvalid) {
		return fmt.Errorf("VerifyHeaders of %d headers, number %d of which is bad (%s) = %d, %v; want %d and ErrInvalid",
			len(hs), n, what, got, err, n)
	}
	return nil
}

func headersBad(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	blocks := e.build(g.Header, 5, 0)
	for _, at := range []int{0, 2, 4} {
		names, forged := e.forged(blocks[at])
		for _, name := range names {
			hs := Headers(blocks)
			hs[at] = forged[name].Header
			if err := e.wantBad(name, g.Header, hs, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func headersLink(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	hs := Headers(e.build(g.Header, 6, 0))
	return first(
		func() error { return e.wantBad("one is missing", g.Header, slices.Delete(slices.Clone(hs), 3, 4), 3) },
		func() error { return e.wantBad("another's parent", hs[2], hs[2:], 0) },
		func() error { return e.wantBad("the child of a later one", hs[3], hs[1:], 0) },
		func() error {
			return e.wantBad("twice the same", g.Header, slices.Insert(slices.Clone(hs), 2, hs[1]), 2)
		},
	)
}

func headersRelabelled(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	blocks := e.build(g.Header, 3, 0)
	for what, h := range relabelled(blocks[2].Header) {
		hs := Headers(blocks)
		hs[2] = h
		if err := e.wantBad("another "+what, g.Header, hs, 2); err != nil {
			return err
		}
	}
	return nil
}

func bodyGood(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	for _, b := range e.build(g.Header, 3, 0) {
		if err := e.Chain.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
			return fmt.Errorf("VerifyBody of the body of %s = %w, want nil", b.Ref(), err)
		}
	}
	return nil
}

// wantBadBody checks that body and extra do not pass as h's.
func (e *Env) wantBadBody(what string, h chain.Header, body, extra []byte) error {
	if err := e.Chain.VerifyBody(h, body, extra); !errors.Is(err, chain.ErrInvalid) {
		return fmt.Errorf("VerifyBody of %s = %v, want ErrInvalid", what, err)
	}
	return nil
}

func bodyBad(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 1, 0)[0]
	bad := map[string][]byte{"a body with a byte behind it": append(bytes.Clone(b.Body), 0)}
	if n := len(b.Body); n > 0 {
		bad["no body"] = nil
		bad["a body cut short"] = b.Body[:n-1]
		bad["a body with its first byte turned"] = flip(b.Body, 0)
		bad["a body with its last byte turned"] = flip(b.Body, n-1)
	}
	for what, body := range bad {
		if err := e.wantBadBody(what, b.Header, body, b.Extra); err != nil {
			return err
		}
	}
	return nil
}

func extraBad(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	b := e.build(g.Header, 1, 0)[0]
	bad := map[string][]byte{"an extra with a byte behind it": append(bytes.Clone(b.Extra), 0)}
	if n := len(b.Extra); n > 0 {
		bad["an extra that is missing"] = nil
		bad["an extra with its last byte turned"] = flip(b.Extra, n-1)
	}
	for what, extra := range bad {
		if err := e.wantBadBody(what, b.Header, b.Body, extra); err != nil {
			return err
		}
	}
	return nil
}

func checksConcurrent(e *Env) error {
	g, err := e.genesis()
	if err != nil {
		return err
	}
	before := e.Chain.Status()
	blocks := e.build(g.Header, 16, 0)
	forged := copyBlock(blocks[8])
	forged.Header.Bytes = flip(forged.Header.Bytes, 0)
	const workers = 8
	results := make(chan error, workers)
	for range workers {
		go func() {
			for _, b := range blocks {
				if v := e.Chain.Check(b); v.Action != chain.Accept && !(e.f.Once && v.Action == chain.Ignore) {
					results <- fmt.Errorf("Check of %s among others = %s, want accept", b.Ref(), v)
					return
				}
				if err := e.Chain.VerifyBody(b.Header, b.Body, b.Extra); err != nil {
					results <- fmt.Errorf("VerifyBody of %s among others: %w", b.Ref(), err)
					return
				}
			}
			if v := e.Chain.Check(forged); v.Action == chain.Accept {
				results <- errors.New("Check among others accepts a forged block")
				return
			}
			n, err := e.Chain.VerifyHeaders(g.Header, Headers(blocks))
			if n != len(blocks) || err != nil {
				results <- fmt.Errorf("VerifyHeaders among others = %d, %v; want %d, nil", n, err, len(blocks))
				return
			}
			results <- nil
		}()
	}
	var failed error
	for range workers {
		if err := <-results; err != nil && failed == nil {
			failed = err
		}
	}
	if failed == nil && e.Chain.Status() != before {
		failed = errors.New("Status changed by checks")
	}
	return failed
}
