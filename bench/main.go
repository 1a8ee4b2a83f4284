package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/starlingp2p/starling/bench/internal/report"
)

func main() {
	if raw := os.Getenv(roleVar); raw != "" {
		if err := work(raw); err != nil {
			os.Exit(1) // it was told
		}
		return
	}
	o := options{warm: true}
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured, in turn")
	flag.IntVar(&o.blocks, "blocks", 4096, "blocks to sync")
	flag.IntVar(&o.size, "size", 64<<10, "bytes of a block")
	flag.BoolVar(&o.more, "more", true, "run what is for information too")
	flag.BoolVar(&o.warm, "warm", true, "run one round before that does not count")
	flag.StringVar(&o.profile, "profile", "", "a directory for profiles of both ends")
	only := flag.String("only", "", "sync or rpc; left out: both")
	into := flag.String("write", "", "a document to write the report into")
	flag.Parse()
	if o.rounds < 1 || o.blocks < 1 || flag.NArg() > 0 || *only != "" && *only != "sync" && *only != "rpc" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := all(ctx, o, *only, *into); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all measures what is wanted, prints it, and writes it into a document unless
// that has no name.
func all(ctx context.Context, o options, only, into string) error {
	tell := func(begin, text string) error {
		fmt.Print("\n", text, "\n")
		if into == "" {
			return nil
		}
		return report.Write(into, begin, text)
	}
	if only != "rpc" {
		rounds, err := measure(ctx, o, os.Stdout)
		if err == nil {
			err = tell(reportBegin, syncReport(o, rounds))
		}
		if err != nil {
			return err
		}
	}
	if only == "sync" {
		return nil
	}
	rounds, err := measureRPC(ctx, o, os.Stdout)
	if err == nil {
		err = tell(rpcBegin, rpcReport(o, rounds))
	}
	return err
}
