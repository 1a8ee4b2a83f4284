package starling_test

import (
	"context"
	"fmt"
	"slices"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain/chaintest"
	"github.com/starlingp2p/starling/wire/native"
)

// region: tracing
// printed is an exporter that keeps the names of spans. A program has that of
// its own collector here, as otlptracehttp.New gives one.
type printed struct{ names []string }

func (p *printed) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		p.names = append(p.names, s.Name())
	}
	return nil
}

func (p *printed) Shutdown(context.Context) error { return nil }

// traced makes a node that hands its spans to an exporter. The caller shuts the
// provider down when the node has ended, so that the last spans get out.
func traced(w *native.Wire, c *chaintest.Chain, to sdktrace.SpanExporter, seeds ...string) (*starling.Node, *sdktrace.TracerProvider, error) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(to))
	cfg := starling.DevConfig()
	cfg.Static, cfg.Tracing = seeds, provider
	node, err := starling.New(cfg, c, w)
	return node, provider, err
}

// region: rest

// A node hands its spans to whatever tracing an embedder has.
func ExampleConfig_tracing() {
	ctx, stop := context.WithCancel(context.Background())
	_, aliceWire, ended := start(ctx, chaintest.NewChain(chaintest.Config{}))
	c := chaintest.NewChain(chaintest.Config{})
	w, err := native.New(native.Config{Status: c.Status, NoListen: true, AllowPrivate: true, NoDHT: true})
	if err != nil {
		panic(err)
	}
	out := &printed{}
	node, provider, err := traced(w, c, out, aliceWire.Addrs()[0].String())
	if err != nil {
		panic(err)
	}
	done := make(chan error, 1)
	go func() { done <- node.Run(ctx) }()
	<-node.Ready()
	if err := node.Client().WaitForPeers(ctx, 1); err != nil {
		fmt.Println(err)
	}
	stop()
	fmt.Println(<-ended, <-done, provider.Shutdown(context.Background()))
	fmt.Println(slices.Contains(out.names, "starling.dial"), slices.Contains(out.names, "starling.handshake"))
	// Output:
	// <nil> <nil> <nil>
	// true true
}
