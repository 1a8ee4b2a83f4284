package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/internal/why"
	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/ethereum"
)

const (
	defaultJWTFile = "keys/jwt.hex"
	// maxEngineRequest is of one call: a block has at most 10 MiB (EIP-7934), and
	// twice that in hex.
	maxEngineRequest = 24 << 20
	// engineRate lets a payload of that size pass at once.
	engineRate  = 1000
	engineConns = 64
)

// checkEngine looks at where a consensus client calls.
func (e *Ethereum) checkEngine(p *problems) {
	checkTCP(p, "network.ethereum.engine_listen", e.EngineListen, "127.0.0.1:8551")
	if e.EngineListen == "" && (e.EngineJWT != "" || len(e.EngineHosts) > 0) {
		p.bad("network.ethereum.engine_jwt or engine_hosts is set, but engine_listen is not; say where the consensus client calls, as in \"127.0.0.1:8551\", or leave them out")
	}
	checkHosts(p, "network.ethereum.engine_hosts", e.EngineHosts)
}

// engineAPI makes the service that a consensus client calls; nil: none does.
func (e *Ethereum) engineAPI(fam *ethereum.Family, l *ledger.Ledger, dir *Datadir, log *slog.Logger) (*engineServer, error) {
	if e.EngineListen == "" {
		return nil, nil
	}
	if !fam.NeedsTarget() {
		return nil, errors.New("network.ethereum.engine_listen is set, but this network is not one after the Merge: no consensus client leads it; leave the key out")
	}
	file := e.EngineJWT
	if file == "" {
		file = defaultJWTFile
	}
	path := dir.resolve(file)
	text, err := rpc.LoadToken(path)
	if err != nil {
		return nil, fmt.Errorf("network.ethereum.engine_jwt: %w", err)
	}
	secret, err := jwt.ParseSecret(text)
	if err != nil {
		return nil, fmt.Errorf("network.ethereum.engine_jwt: %s: %w", path, withoutPackage(err))
	}
	return &engineServer{listen: e.EngineListen, hosts: e.EngineHosts, secret: secret, family: fam, ledger: l, log: log.With("part", "engine")}, nil
}

// engineServer is the service that a consensus client calls. It has a listener
// of its own, on which the token of each request must be fresh: over HTTP of each call, over a
// WebSocket that of the handshake alone, as in geth.
type engineServer struct {
	listen string
	hosts  []string
	secret jwt.Secret
	family *ethereum.Family
	ledger *ledger.Ledger
	log    *slog.Logger
	more   func() []starling.Method // of the node's own RPC

	api    *ethereum.EngineAPI
	server atomic.Pointer[rpc.Server]
	at     atomic.Pointer[net.Addr]
}

func (e *engineServer) Kind() string    { return "engine-api" }
func (e *engineServer) Needs() []string { return nil }

func (e *engineServer) Build(b *starling.Builder) (_ starling.Part, err error) {
	e.api, err = ethereum.NewEngineAPI(ethereum.EngineConfig{Family: e.family, Chain: e.ledger, Target: b.Client().SetTarget, Logger: e.log})
	return e, err
}

// Run listens and answers until ctx ends.
func (e *engineServer) Run(ctx context.Context, ready func()) error {
	l, err := openExtra(ctx, "network.ethereum.engine_listen", e.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	server, err := rpc.New(append(e.methods(), e.more()...), e.log)
	if err != nil {
		return err
	}
	server.AllowRequests(maxEngineRequest)
	at := l.Addr()
	e.at.Store(&at)
	e.server.Store(server)
	if !isLoopback(at.String()) {
		e.log.Warn("the Engine API can be reached from other machines, and is not encrypted; put a proxy with TLS before it", "addr", at)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.api.Run(ctx) })
	g.Go(func() error {
		return server.ServeTCP(ctx, l, rpc.TCP{
			Hosts: e.hosts, HostsKey: "network.ethereum.engine_hosts", Conns: engineConns, Rate: engineRate,
			Bearer: func(token string) error { return e.secret.Check(token, time.Now()) },
		})
	})
	ready()
	return ended(ctx, g.Wait())
}

// url is where it is; empty: nowhere yet.
func (e *engineServer) url() string {
	if e == nil {
		return ""
	}
	at := e.at.Load()
	if at == nil {
		return ""
	}
	return "http://" + (*at).String()
}

// counters are what happened there.
func (e *engineServer) counters() map[string]uint64 {
	if e == nil {
		return nil
	}
	server := e.server.Load()
	if server == nil {
		return nil
	}
	return server.Counters()
}

// findings are what "why" says of it.
func (e *engineServer) findings() []why.Finding {
	if e.api == nil || !e.api.Quiet() {
		return nil
	}
	return []why.Finding{{
		Code: "engine:quiet", Level: why.Notice,
		Cause:  "no consensus client has called for over two minutes, so that nobody says what block is to be reached",
		Remedy: "start one with its execution endpoint at network.ethereum.engine_listen and the same JWT file, look into its log, or leave the key out and give the node a target",
	}}
}

// methods are those that a consensus client needs to be followed.
func (e *engineServer) methods() []starling.Method {
	var all []starling.Method
	for v := 1; v <= 4; v++ {
		all = append(all, engineCall(fmt.Sprintf("engine_newPayloadV%d", v), "Looks at a payload: SYNCING, or INVALID where its hash is not its own.", func(ctx context.Context, args []json.RawMessage) (any, error) {
			return e.api.NewPayload(ctx, v, args)
		}))
	}
	for v := 1; v <= 3; v++ {
		all = append(all, engineCall(fmt.Sprintf("engine_forkchoiceUpdatedV%d", v), "Has the node follow a head: SYNCING. No block is built.", func(ctx context.Context, args []json.RawMessage) (any, error) {
			return e.api.Forkchoice(ctx, v, args)
		}))
	}
	names := []string{}
	for _, m := range all {
		names = append(names, m.Name)
	}
	return append(
		all,
		engineCall("engine_exchangeCapabilities", "The methods that there are.", func(context.Context, []json.RawMessage) (any, error) { return names, nil }),
		engineCall("engine_getClientVersionV1", "This program.", func(context.Context, []json.RawMessage) (any, error) {
			return []EngineClient{engineClient()}, nil
		}),
	)
}

// engineCall makes a method whose caller has shown a token. Errors keep the
// codes of the Engine API.
func engineCall(name, doc string, f func(ctx context.Context, args []json.RawMessage) (any, error)) starling.Method {
	return write(name, doc, func(ctx context.Context, params json.RawMessage) (any, error) {
		const most = 4
		args := make([]json.RawMessage, most)
		if err := rpc.Params(params, &args[0], &args[1], &args[2], &args[3]); err != nil {
			return nil, err
		}
		if n := slices.IndexFunc(args, func(a json.RawMessage) bool { return a == nil }); n >= 0 {
			args = args[:n]
		}
		out, err := f(ctx, args)
		var own *ethereum.EngineError
		if errors.As(err, &own) {
			err = &rpc.Error{Code: own.Code, Message: own.Text}
		}
		return out, err
	}, nil)
}

// EngineClient is ClientVersionV1 (execution-apis, src/engine/identification.md).
type EngineClient struct {
	Code    string `json:"code"` // two letters
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"` // its first 4 bytes
}

func engineClient() EngineClient {
	c := EngineClient{Code: "SL", Name: "Starling", Version: "v" + Version, Commit: "0x00000000"}
	if rev := build().Revision; len(rev) >= 8 && rev != "unknown" {
		c.Commit = "0x" + rev[:8]
	}
	return c
}

// engineReads are the other methods that a consensus client may call there
// (execution-apis, src/engine/common.md §Underlying protocol), of those that
// the node has.
var engineReads = []string{
	"eth_blockNumber", "eth_chainId", "eth_getBlockByHash", "eth_getBlockByNumber", "eth_sendRawTransaction", "eth_syncing",
	"net_version", "web3_clientVersion",
}

// engineMethods are those of the node's own RPC that are on the Engine API too.
func (n *Node) engineMethods() []starling.Method {
	return slices.DeleteFunc(n.methods(), func(m starling.Method) bool { return !slices.Contains(engineReads, m.Name) })
}
