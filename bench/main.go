package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
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
	into := flag.String("write", "", "a document to write the report into")
	flag.Parse()
	if o.rounds < 1 || o.blocks < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rounds, err := measure(ctx, o, os.Stdout)
	if err == nil {
		text := report(o, rounds)
		fmt.Print("\n", text)
		if *into != "" {
			err = write(*into, text)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
