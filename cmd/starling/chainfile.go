package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

// tellEvery is the pause between two lines about the progress of a file.
const tellEvery = 5 * time.Second

func importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Category: categoryTool, Usage: "take the blocks of a chain file into the ledger of a node that does not run", ArgsUsage: "FILE...",
		Description: "A FILE is one that \"geth export\" or \"starling export\" made, packed with gzip or not. Each block is checked as if a peer had sent it;\n" +
			"on a network after the Merge, where no header proves itself, the file is trusted. One that does not fit is named and ends it.\n" +
			"What was imported stays, and is skipped when the same file is imported again. Receipts are in no chain file.",
		Flags: append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			files := cmd.Args().Slice()
			if len(files) == 0 {
				return &usageError{errors.New("import wants at least one file, as \"geth export\" makes it")}
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			began := time.Now()
			p, err := daemon.ImportChain(ctx, cfg, files, slog.New(slog.DiscardHandler), teller(cmd, "imported"))
			if err != nil {
				return err
			}
			took := time.Since(began)
			return done(cmd, fmt.Sprintf("imported %d blocks in %v, %d were there already; the head is block %d", p.Blocks, took.Round(time.Millisecond), p.Skipped, p.Head.Number),
				map[string]any{"imported": p.Blocks, "skipped": p.Skipped, "head": p.Head})
		},
	}
}

func exportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Category: categoryTool, Usage: "write blocks of a node that does not run into a chain file", ArgsUsage: "[FILE [FIRST LAST]]",
		Description: "\"geth import\" and \"starling import\" take the FILE. It is packed with gzip if its name ends in .gz; without one, or with -, blocks go\n" +
			"to standard output. FIRST and LAST are numbers of blocks; left out, they are genesis and the head.",
		Flags: append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			first, last, err := span(cmd.Args().Slice())
			if err != nil {
				return &usageError{err}
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			name := cmd.Args().First()
			if name == "" || name == "-" {
				_, err := daemon.ExportChain(ctx, cfg, cmd.Root().Writer, first, last, slog.New(slog.DiscardHandler), teller(cmd, "wrote"))
				return err
			}
			f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if errors.Is(err, os.ErrExist) {
				return &usageError{fmt.Errorf("%s exists already and is left as it is; choose another name", name)}
			}
			if err != nil {
				return &usageError{err}
			}
			var out io.WriteCloser = f
			if daemon.Packed(name) {
				out = gzip.NewWriter(f)
			}
			p, err := daemon.ExportChain(ctx, cfg, out, first, last, slog.New(slog.DiscardHandler), teller(cmd, "wrote"))
			if daemon.Packed(name) {
				err = errors.Join(err, out.Close())
			}
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				os.Remove(name)
				return err
			}
			return done(cmd, fmt.Sprintf("wrote %d blocks, %d to %d, into %s", p.Blocks, first, p.At.Number, name),
				map[string]any{"file": name, "blocks": p.Blocks, "first": first, "last": p.At.Number})
		},
	}
}

// span reads the numbers of export's arguments.
func span(args []string) (first uint64, last *uint64, err error) {
	switch len(args) {
	case 0, 1:
		return 0, nil, nil
	case 3:
	default:
		return 0, nil, fmt.Errorf("export wants a file, or a file and the numbers of the first and the last block, got %d arguments", len(args))
	}
	var n [2]uint64
	for i, text := range args[1:] {
		if n[i], err = strconv.ParseUint(text, 10, 63); err != nil {
			return 0, nil, fmt.Errorf("%.40q is no block's number", text)
		}
	}
	if n[0] > n[1] {
		return 0, nil, fmt.Errorf("the first block is %d, the last %d; give the lower one first", n[0], n[1])
	}
	return n[0], &n[1], nil
}

// teller tells of progress on standard error, now and then.
func teller(cmd *cli.Command, did string) func(daemon.FileProgress) {
	began := time.Now()
	last := began
	return func(p daemon.FileProgress) {
		now := time.Now()
		if now.Sub(last) < tellEvery {
			return
		}
		last = now
		fmt.Fprintf(cmd.Root().ErrWriter, "%s %d blocks, up to block %d, %.0f blocks/s\n", did, p.Blocks, p.At.Number, float64(p.Blocks)/now.Sub(began).Seconds())
	}
}
