package ledger

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
	"github.com/starlingp2p/starling/chain"
)

// applyRules compares the stored fork schedule with the family's. Where blocks
// were imported that the new one judges differently, the ledger is rewound to
// the last that both agree on, or refused.
func (l *Ledger) applyRules(have storedSpec) error {
	diffs := differences(have.rules, sortedRules(l.spec.Rules))
	if len(diffs) == 0 && len(have.rules) == len(l.spec.Rules) {
		return nil
	}
	head := l.Status().Head
	c := l.newChange()
	c.put(metaKey(metaSpec), specOf(l.spec).encode())
	to, diff, err := l.compatible(diffs)
	if err != nil {
		return err
	}
	if to.Number < head.Number {
		if err := c.discard(to); err != nil {
			return err
		}
		l.o.Logger.Warn("ledger: the fork schedule changed; rewound", "rule", diff.rule,
			"was", from(diff.have), "is", from(diff.want), "head", head.String(), "to", to.String())
	} else {
		l.o.Logger.Info("ledger: the fork schedule changed above the head", "head", head.String())
	}
	defer func() { l.recent = newRecent() }() // what was read here may be gone; nobody else reads yet
	return c.commit(true)
}

// compatible finds the highest canonical block that no difference touches.
func (l *Ledger) compatible(diffs []difference) (to chain.Ref, worst difference, err error) {
	st := l.Status()
	genesis := l.spec.Genesis.Header.Ref.Number
	floor := max(genesis, st.Finalized.Number)
	if d := uint64(l.o.MaxReorg); st.Head.Number > d {
		floor = max(floor, st.Head.Number-d)
	}
	for n := st.Head.Number; ; n-- {
		h, err := l.Header(context.Background(), chain.Ref{Number: n})
		if err != nil {
			return to, worst, err
		}
		touched := false
		for _, d := range diffs {
			if n > genesis && d.touches(h) {
				touched, worst = true, d
			}
		}
		if !touched {
			return h.Ref, worst, nil
		}
		if n == floor {
			low := worst.first()
			if worst.byTime || low == 0 || low > n {
				low = n // by time it is not looked for further down
			}
			return to, worst, &RulesError{
				Dir: l.dir.path, Rule: worst.rule, Have: worst.have, Want: worst.want,
				Head: st.Head, Compatible: low - 1, Limit: floor,
			}
		}
	}
}

// discard rewinds to a canonical block and removes all that was imported above
// it, branches too: they were judged by other rules.
func (c *change) discard(to chain.Ref) error {
	if err := c.rewind(to); err != nil {
		return err
	}
	var refs []chain.Ref
	err := c.l.store.read(func(db *pebble.DB) error {
		it, err := db.NewIter(&pebble.IterOptions{
			LowerBound: numbered(keyBlock, to.Number+1), UpperBound: []byte{keyBlock + 1},
		})
		if err != nil {
			return err
		}
		for ok := it.First(); ok; ok = it.Next() {
			if k := it.Key(); len(k) == 42 && k[41] == partHeader {
				refs = append(refs, chain.Ref{Number: binary.BigEndian.Uint64(k[1:]), Hash: chain.Hash(k[9:41])})
			}
		}
		if err := it.Error(); err != nil {
			it.Close()
			return err
		}
		return it.Close()
	})
	if err != nil {
		return ioError("rewind", err)
	}
	for _, r := range refs {
		i, err := c.info(r.Hash)
		if err != nil {
			return err
		}
		if i.kind == imported {
			c.removeBlock(r)
		}
	}
	return nil
}
