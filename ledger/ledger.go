package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/starlingp2p/starling/chain"
)

// DefaultMaxReorg is how many blocks a reorganisation may undo where Options
// say nothing.
const DefaultMaxReorg = 64

// Options of a Ledger. Family must be set; the zero value of the rest works.
type Options struct {
	Family Family
	// FS is where the directory lies; nil: the disk.
	FS vfs.FS
	// MaxReorg is how many blocks a reorganisation may undo; 0: DefaultMaxReorg.
	MaxReorg int
	// FinalityDepth is how far below the head a block becomes final by itself;
	// 0: only Finalize makes blocks final.
	FinalityDepth int
	// CacheBytes is the block cache; 0: 32 MiB.
	CacheBytes int64
	// Logger gets what the operator should know; nil: nothing.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MaxReorg == 0 {
		o.MaxReorg = DefaultMaxReorg
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate reports all that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	if o.Family == nil {
		errs = append(errs, errors.New("ledger: Options.Family is nil"))
	}
	if o.MaxReorg < 0 {
		errs = append(errs, fmt.Errorf("ledger: Options.MaxReorg is %d, want at least 0", o.MaxReorg))
	}
	if o.FinalityDepth < 0 {
		errs = append(errs, fmt.Errorf("ledger: Options.FinalityDepth is %d, want at least 0", o.FinalityDepth))
	}
	if o.CacheBytes < 0 {
		errs = append(errs, fmt.Errorf("ledger: Options.CacheBytes is %d, want at least 0", o.CacheBytes))
	}
	return errors.Join(errs...)
}

// Ledger is a chain on disk. Its readers are safe for concurrent use; Import,
// Stage, Finalize and Close wait for each other.
type Ledger struct {
	chain.Checker // the Family's
	family        Family
	spec          Spec
	o             Options
	dir           *directory
	store         *store
	recent        *recent
	status        atomic.Pointer[chain.Status]

	write  sync.Mutex // held by the writer
	closed bool
	top    uint64 // no stored block has a number above it; the writer's
}

var (
	_ chain.Chain          = (*Ledger)(nil)
	_ chain.TxReader       = (*Ledger)(nil)
	_ chain.TxFinder       = (*Ledger)(nil)
	_ chain.BodiesChecker  = (*Ledger)(nil)
	_ chain.HeadersChecker = (*Ledger)(nil)
)

// Open opens the ledger in dir, or creates it where dir is missing or empty. It
// blocks on the disk. The errors that an operator can act on are *LockedError,
// *ForeignError, *GenesisError, *SchemaError, *RulesError and those that wrap
// chain.ErrCorrupt or chain.ErrFull.
func Open(dir string, o Options) (*Ledger, error) { return openSchema(dir, o, currentSchema()) }

func openSchema(dir string, o Options, want schema) (_ *Ledger, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	d, fresh, err := claim(o.FS, dir)
	if err != nil {
		return nil, err
	}
	l := &Ledger{Checker: o.Family, family: o.Family, spec: o.Family.Spec(), o: o, dir: d, recent: newRecent()}
	defer func() {
		if err != nil {
			l.closeAll()
		}
	}()
	if fresh {
		// The file comes first: a crash from here on leaves a ledger.
		err = d.writeSchema(want.version)
	} else {
		err = d.migrate(want, o.Logger)
	}
	if err != nil {
		return nil, err
	}
	if l.store, err = openStore(o.FS, d.join(dbDir), o.CacheBytes, o.Logger); err != nil {
		return nil, err
	}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// begin creates the genesis or checks the stored one, then reads the head.
func (l *Ledger) begin() error {
	var raw []byte
	empty := false
	err := l.store.read(func(db *pebble.DB) (err error) {
		raw, err = get(db, []byte(metaKey(metaSpec)))
		if err == nil && raw == nil {
			empty, err = isEmpty(db)
		}
		return err
	})
	if err != nil {
		return err
	}
	if raw == nil {
		if !empty {
			return corrupt("%s has data and no network record", l.dir.path)
		}
		if err := l.create(); err != nil {
			return err
		}
		return l.reload()
	}
	have, err := decodeSpec(raw)
	if err != nil {
		return corrupt("%v", err)
	}
	if err := checkSpec(l.dir.path, have, l.spec); err != nil {
		return err
	}
	if err := l.reload(); err != nil {
		return err
	}
	return l.applyRules(have)
}

func isEmpty(db *pebble.DB) (bool, error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return false, ioError("read", err)
	}
	empty := !it.First()
	return empty, ioError("read", errors.Join(it.Error(), it.Close()))
}

// create stores the genesis block in one batch: it is there whole or not at all.
func (l *Ledger) create() error {
	g := l.spec.Genesis
	if h, err := l.family.DecodeHeader(g.Header.Bytes); err != nil || h.Ref != g.Header.Ref {
		return fmt.Errorf("ledger: the family's genesis %v does not decode to itself: %v, %v", g.Ref(), h.Ref, err)
	}
	w := l.newChange()
	weight := chain.WeightOf(g.Header.Ref.Number)
	if wf, ok := l.family.(Weigher); ok {
		weight = wf.Weight(chain.Weight{}, g.Header)
	}
	if x, ok := l.family.(Executor); ok {
		for _, s := range x.GenesisState() {
			w.put(stateKey(s.Key), s.Value)
		}
	}
	w.put(metaKey(metaSpec), specOf(l.spec).encode())
	w.putBlock(g)
	w.putInfo(g.Header.Ref.Hash, info{imported, g.Header.Ref.Number, g.Header.Parent, weight})
	w.put(canonKey(g.Header.Ref.Number), g.Header.Ref.Hash[:])
	if err := w.putTxs(g); err != nil {
		return err
	}
	w.setHead(g.Header.Ref, weight)
	return w.commit(true)
}

// reload reads the status from the store.
func (l *Ledger) reload() error {
	l.recent.undone()
	return l.store.read(func(db *pebble.DB) error {
		st, err := readStatus(db, l.spec)
		if err != nil {
			return err
		}
		if h, err := readHeader(db, l.family, st.Head); err != nil || h.Bytes == nil {
			return corrupt("head %v cannot be read: %v", st.Head, err)
		}
		top, err := readTop(db)
		if err != nil {
			return err
		}
		l.top = max(l.top, top)
		l.status.Store(&st)
		return nil
	})
}

// readTop gives the highest number of a stored block.
func readTop(r pebble.Reader) (uint64, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{keyBlock}, UpperBound: []byte{keyBlock + 1}})
	if err != nil {
		return 0, ioError("read", err)
	}
	top := uint64(0)
	if it.Last() {
		if k := it.Key(); len(k) == 42 {
			top = binary.BigEndian.Uint64(k[1:])
		} else {
			err = corrupt("blocks have the key %x", k)
		}
	}
	return top, errors.Join(err, ioError("read", it.Close()))
}

func readStatus(r pebble.Reader, spec Spec) (st chain.Status, err error) {
	st = chain.Status{Network: spec.Network, Genesis: spec.Genesis.Header.Ref.Hash, Earliest: spec.Genesis.Header.Ref.Number}
	raw, err := get(r, []byte(metaKey(metaHead)))
	if err != nil {
		return st, err
	}
	if st.Head, err = decodeRef(raw); err != nil {
		return st, corrupt("head: %v", err)
	}
	i, err := readInfo(r, st.Head.Hash)
	if err != nil {
		return st, err
	}
	if i.kind != imported || i.number != st.Head.Number {
		return st, corrupt("head %v is not imported", st.Head)
	}
	st.Weight = i.weight
	raw, err = get(r, []byte(canonKey(st.Head.Number)))
	if err != nil {
		return st, err
	}
	if !bytes.Equal(raw, st.Head.Hash[:]) {
		return st, corrupt("canonical block of head's number %d is %x, head is %v", st.Head.Number, raw, st.Head.Hash)
	}
	raw, err = get(r, []byte(metaKey(metaFinal)))
	if err != nil || raw == nil {
		return st, err
	}
	if st.Finalized, err = decodeRef(raw); err != nil {
		return st, corrupt("finalized: %v", err)
	}
	return st, nil
}

// Status is as of the last synced commit.
func (l *Ledger) Status() chain.Status { return *l.status.Load() }

// Family is the one that the ledger was opened with.
func (l *Ledger) Family() Family { return l.family }

// Close ends the ledger and gives the directory back. It waits for a write in
// progress and for reads; calls after it report ErrClosed.
func (l *Ledger) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.closeAll()
}

func (l *Ledger) closeAll() error {
	var err error
	if l.store != nil {
		err = l.store.close()
	}
	return errors.Join(err, l.dir.close())
}

// prepare begins a write of about n bytes; write is held.
func (l *Ledger) prepare(ctx context.Context, n int64) error {
	if l.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	reopened, err := l.store.ready(n)
	if reopened {
		err = errors.Join(err, l.reload())
	}
	return err
}

// VerifyBodies implements chain.BodiesChecker: by the Family, where it does.
// Whoever embeds a Ledger and puts another VerifyBody before its own does the
// same to this.
func (l *Ledger) VerifyBodies(bs []chain.Block) []error { return chain.VerifyBodies(l.family, bs) }

// VerifyHeadersContext implements chain.HeadersChecker: by the Family, where it
// does. What VerifyBodies says of others' holds here too.
func (l *Ledger) VerifyHeadersContext(ctx context.Context, parent chain.Header, hs []chain.Header) (int, error) {
	return chain.VerifyHeaders(ctx, l.family, parent, hs)
}
