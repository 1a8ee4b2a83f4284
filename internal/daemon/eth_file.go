package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

// A batch of an import: whichever comes first. Each is durable before the next
// begins.
const (
	fileBatchBlocks = 2500 // geth's cmd/utils, importBatchSize
	fileBatchBytes  = 16 << 20
)

// FileProgress is how far an import or export of a chain file is.
type FileProgress struct {
	Blocks  uint64    `json:"blocks"`  // imported or written
	Skipped uint64    `json:"skipped"` // that the ledger had already
	At      chain.Ref `json:"-"`       // the last of them
	Head    BlockName `json:"head"`    // of the ledger
}

// openFiles opens the ledger of a network of Ethereum's kind, without its node.
func openFiles(cfg Config, log *slog.Logger) (*stack, func() error, error) {
	network := cfg.Networks[0]
	dir, err := OpenDatadir(cfg.Datadir)
	if err != nil {
		return nil, nil, &StartError{err}
	}
	s := new(stack)
	end := func() error { return errors.Join(s.close(), dir.Close()) }
	if err = openStack(s, network, dir, log); err == nil && s.eth == nil {
		err = errors.New("chain files hold blocks of Ethereum's networks; this network is of another kind")
	}
	if err != nil {
		return nil, nil, &StartError{errors.Join(err, end())}
	}
	return s, end, nil
}

// ImportChain takes blocks out of chain files, each as geth export makes it, into
// the ledger of a node that does not run. Blocks that the ledger has are skipped,
// so an import that was stopped goes on when it is called again. tell is called
// after each batch. A block that does not fit ends it; those before it stay.
func ImportChain(ctx context.Context, cfg Config, files []string, log *slog.Logger, tell func(FileProgress)) (p FileProgress, err error) {
	s, end, err := openFiles(cfg, log)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, end()) }()
	im := &fileImport{ledger: s.ledger, tell: tell, p: &p}
	for _, name := range files {
		if err = im.file(ctx, name); err != nil {
			break
		}
	}
	p.Head = nameOf(s.ledger.Status().Head)
	return p, err
}

type fileImport struct {
	ledger *ledger.Ledger
	tell   func(FileProgress)
	p      *FileProgress
}

func (im *fileImport) file(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return &StartError{err}
	}
	defer f.Close()
	r, err := ethereum.NewFileReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for err == nil {
		var batch []chain.Block
		batch, err = im.read(ctx, r)
		if n, ierr := im.batch(ctx, batch); ierr != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%s: stopped at block %v; import it again to go on", name, im.p.At)
			}
			return fmt.Errorf("%s: block %v: %w", name, batch[n].Ref(), ierr)
		}
		if len(batch) > 0 {
			im.p.Head = nameOf(im.ledger.Status().Head)
			im.tell(*im.p)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: stopped at block %v; import it again to go on", name, im.p.At)
	}
	return fmt.Errorf("%s: behind block %v: %w", name, im.p.At, err)
}

// read reads blocks up to a batch of those that the ledger does not have. What
// was read before an error is good.
func (im *fileImport) read(ctx context.Context, r *ethereum.FileReader) (batch []chain.Block, err error) {
	for size := 0; len(batch) < fileBatchBlocks && size < fileBatchBytes; {
		if ctx.Err() != nil {
			return batch, context.Cause(ctx)
		}
		b, err := r.Next()
		if err != nil {
			return batch, err
		}
		if len(batch) == 0 {
			if known, err := im.known(ctx, b.Ref()); err != nil {
				return batch, err
			} else if known {
				im.p.Skipped++
				im.p.At = b.Ref()
				continue
			}
		}
		batch = append(batch, b)
		size += b.Size()
	}
	return batch, nil
}

func (im *fileImport) known(ctx context.Context, ref chain.Ref) (bool, error) {
	h, err := im.ledger.Header(ctx, chain.Ref{Number: ref.Number})
	switch {
	case errors.Is(err, chain.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case ref.Number == 0 && h.Ref != ref:
		return false, fmt.Errorf("it is of another network: its genesis is %v, ours is %v", ref.Hash, h.Ref.Hash)
	}
	return h.Ref == ref, nil
}

// batch verifies and imports blocks, and gives how many of them are good.
func (im *fileImport) batch(ctx context.Context, batch []chain.Block) (n int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	parent, err := im.ledger.Header(ctx, chain.Ref{Hash: batch[0].Header.Parent})
	if errors.Is(err, chain.ErrNotFound) {
		return 0, fmt.Errorf("%w %v: it is neither in the ledger nor before it in the file", chain.ErrUnknownParent, batch[0].Header.Parent)
	}
	if err != nil {
		return 0, err
	}
	good, bad := im.verify(ctx, parent, batch)
	n, err = im.ledger.Import(ctx, batch[:good])
	if n > 0 {
		im.p.Blocks += uint64(n)
		im.p.At = batch[n-1].Ref()
	}
	if err == nil {
		err = bad
	}
	return n, err
}

// verify gives how many blocks are good, and what is wrong with the next.
func (im *fileImport) verify(ctx context.Context, parent chain.Header, batch []chain.Block) (int, error) {
	headers := make([]chain.Header, len(batch))
	for i, b := range batch {
		headers[i] = b.Header
	}
	good, bad := im.ledger.VerifyHeadersContext(ctx, parent, headers)
	errs := make([]error, good)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range errs {
		if ctx.Err() != nil {
			errs[i] = context.Cause(ctx)
			continue
		}
		g.Go(func() error {
			errs[i] = im.ledger.VerifyBody(batch[i].Header, batch[i].Body, nil)
			return nil
		})
	}
	g.Wait()
	for i, err := range errs {
		if err != nil {
			return i, err
		}
	}
	return good, bad
}

// ExportChain writes the blocks first to last of the ledger of a node that does
// not run as a chain file. A last of nil is the head. tell is called now and then.
func ExportChain(ctx context.Context, cfg Config, out io.Writer, first uint64, last *uint64, log *slog.Logger, tell func(FileProgress)) (p FileProgress, err error) {
	s, end, err := openFiles(cfg, log)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, end()) }()
	head := s.ledger.Status().Head
	p.Head = nameOf(head)
	to := head.Number
	if last != nil {
		to = *last
	}
	if first > to || to > head.Number {
		return p, fmt.Errorf("blocks %d to %d were asked for, the ledger has 0 to %d", first, to, head.Number)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	var buf []byte
	for at := first; at <= to; {
		// A few at a time: the ledger bounds what it gives by bytes.
		blocks, err := s.ledger.Blocks(ctx, chain.Range{From: chain.Ref{Number: at}, Count: int(min(to-at+1, 1024)), MaxBytes: 8 << 20})
		if err != nil {
			return p, fmt.Errorf("block %d: %w", at, err)
		}
		for _, b := range blocks {
			if buf, err = ethereum.AppendBlock(buf[:0], b); err != nil {
				return p, err
			}
			if _, err := w.Write(buf); err != nil {
				return p, fmt.Errorf("block %v: %w", b.Ref(), err)
			}
			p.Blocks++
			p.At = b.Ref()
		}
		at += uint64(len(blocks))
		tell(p)
	}
	return p, w.Flush()
}

// Packed reports whether a chain file of that name is to be under gzip, as geth
// decides it.
func Packed(name string) bool { return filepath.Ext(name) == ".gz" }
