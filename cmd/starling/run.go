package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:     "run",
		Category: categoryRun,
		Usage:    "run a node until it is told to stop (Ctrl-C; twice: at once)",
		Description: "Everything that has no flag is in the config file and the environment: see \"starling config docs\".\n" +
			"Flags of geth and op-node are taken too, --maxpeers and --p2p.static for example: \"starling config flags\".\n" +
			"At SIGHUP the node reads its config again and takes over static, trusted and seeds, and the log levels.",
		Flags: append(configFlags(), &cli.BoolFlag{Name: "json", Usage: "print events as JSON lines", HideDefault: true}),
		Action: func(ctx context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			path, over := layers(cmd)
			load := func() (daemon.Config, error) { return daemon.LoadLayers(path, over...) }
			cfg, err := load()
			if err != nil {
				return err
			}
			limitMemory()
			out, stderr := cmd.Root().Writer, cmd.Root().ErrWriter
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			return daemon.Run(ctx, cfg, daemon.Output{
				Out: out, Err: stderr, JSON: cmd.Bool("json"), Terminal: isTerminal(stderr), Width: windowOf(stderr), OutToo: isTerminal(out),
				Reload: hup, Load: load,
				Stopping: "starling: stopping: peers are told and what is open is closed; Ctrl-C again ends it at once",
			})
		},
	}
}

func initCommand(datadir cli.Flag) *cli.Command {
	return &cli.Command{
		Name:     "init",
		Category: categoryRun,
		Usage:    "make a datadir with a config file and keys",
		Description: "Without --join or --network, it makes a new private network of which this node is the sequencer.\n" +
			"With --join FILE, it makes a follower of the network in FILE, another node's config.toml.\n" +
			"With --network NAME, it makes a member of a public network: " + strings.Join(daemon.PresetNames(), ", ") + ".",
		Flags: []cli.Flag{
			datadir,
			&cli.StringFlag{Name: "name", Usage: "name of the new network", Value: "private"},
			&cli.DurationFlag{Name: "block-time", Usage: "pause between blocks of the new network", Value: 2 * time.Second},
			&cli.StringFlag{Name: "network", Usage: "public network `NAME` to be a member of"},
			&cli.StringFlag{Name: "l1", Usage: "JSON-RPC `URL` of an L1 node, which tells an OP Stack network's sequencer (with --network)"},
			&cli.StringFlag{Name: "join", Usage: "config `FILE` of a node whose network to join", TakesFile: true},
			&cli.StringSliceFlag{Name: "seed", Usage: "address `ADDR` of a node to meet first (with --join)"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true},
			&cli.StringSliceFlag{Name: "listen", Usage: "multiaddr `ADDR` to listen on; default: a free port of 127.0.0.1, TCP and QUIC; with --network that network's port of every interface"},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if err := noArgs(cmd); err != nil {
				return err
			}
			cfg, key, err := initial(cmd)
			if err != nil {
				return &usageError{err}
			}
			dir := cmd.String("datadir")
			if err := daemon.Init(dir, cfg, key); err != nil {
				return &usageError{err}
			}
			path := filepath.Join(dir, "config.toml")
			text := fmt.Sprintf("made %s\nnext: starling run --config %s", path, path)
			if advice := adviceFor(cfg.Networks[0]); advice != "" {
				text += "\n" + advice
			}
			return done(cmd, text, map[string]any{"config": path, "datadir": dir})
		},
	}
}

// initial is the config of a new datadir, and the sequencer's key if the node
// is to be one.
func initial(cmd *cli.Command) (daemon.Config, ed25519.PrivateKey, error) {
	cfg := daemon.Config{ConfigVersion: daemon.ConfigVersion, LogLevel: "info"}
	if d := cmd.Duration("block-time"); d <= 0 {
		return cfg, nil, fmt.Errorf("--block-time is %v, want more than 0, as in --block-time 2s", d)
	}
	if name := cmd.String("network"); name != "" {
		network, err := member(cmd, name)
		cfg.RPC.Listen = fmt.Sprintf("127.0.0.1:%d", freePort())
		cfg.Networks = []daemon.Network{network}
		return cfg, nil, err
	}
	if cmd.IsSet("l1") {
		return cfg, nil, errors.New("--l1 goes with --network")
	}
	network := daemon.Network{Wire: "native", Listen: cmd.StringSlice("listen"), AllowPrivate: true}
	cfg.RPC.Listen = fmt.Sprintf("127.0.0.1:%d", freePort())
	if len(network.Listen) == 0 {
		port := freePort()
		network.Listen = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port), fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", port)}
	}
	if file := cmd.String("join"); file != "" {
		other, err := daemon.LoadConfig(file)
		if err != nil {
			return cfg, nil, err
		}
		if len(cmd.StringSlice("seed")) == 0 {
			return cfg, nil, errors.New("--join needs --seed ADDR too: the address of a running node (\"starling id\" prints it)")
		}
		network.Name, network.Sequenced = other.Networks[0].Name, other.Networks[0].Sequenced
		network.Sequenced.ProduceKey = ""
		network.Seeds = cmd.StringSlice("seed")
		cfg.Networks = []daemon.Network{network}
		return cfg, nil, nil
	}
	if len(cmd.StringSlice("seed")) > 0 {
		return cfg, nil, errors.New("--seed goes with --join")
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return cfg, nil, err
	}
	network.Name = cmd.String("name")
	network.Sequenced = daemon.Sequenced{
		Sequencer: hex.EncodeToString(pub), GenesisTime: time.Now().UTC().Truncate(time.Second),
		BlockInterval: daemon.Duration(cmd.Duration("block-time")),
	}
	cfg.Networks = []daemon.Network{network}
	return cfg, key, nil
}

// member is a node of a public network. What it listens on is written down, so
// that whoever reads the config sees what is open to others.
func member(cmd *cli.Command, name string) (daemon.Network, error) {
	for _, flag := range []string{"join", "seed", "name", "block-time"} {
		if cmd.IsSet(flag) {
			return daemon.Network{}, fmt.Errorf("--%s does not go with --network, which says it already; leave one of them out", flag)
		}
	}
	preset, err := daemon.LoadPreset(name)
	if err != nil {
		return daemon.Network{}, err
	}
	network := daemon.Network{Preset: name, Listen: cmd.StringSlice("listen")}
	if len(network.Listen) == 0 {
		network.Listen = preset.Listen
	}
	network.Ontology.ConsensusListen = besides(network.Listen[0], preset.Ontology.ConsensusListen)
	network.OPStack.L1 = cmd.String("l1")
	if network.OPStack.L1 != "" && preset.Wire != "opstack" {
		return daemon.Network{}, fmt.Errorf("--l1 is for OP Stack networks, and %s is none; leave it out", name)
	}
	return network, nil
}

// adviceFor is what somebody who begins with a public network should know.
func adviceFor(n daemon.Network) string {
	preset, err := daemon.LoadPreset(n.Preset)
	if err != nil {
		return "" // a network of one's own
	}
	preset.Listen, preset.OPStack.L1 = n.Listen, n.OPStack.L1
	return daemon.PresetAdvice(preset)
}

// besides is the second port of a node, at the host of its first.
func besides(listen, second string) string {
	host, _, err := net.SplitHostPort(listen)
	_, port, err2 := net.SplitHostPort(second)
	if err != nil || err2 != nil {
		return second
	}
	return net.JoinHostPort(host, port)
}

// freePort gives a port of loopback that nobody has now, so that a node comes
// back at the address that others know; 0, which is any at each start, where
// none is found. It lies below those that systems give to outgoing connections.
func freePort() int {
	const first, last = 20_000, 32_000
	for range 64 {
		port := first + mrand.IntN(last-first)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp", address)
		tcp.Close()
		if err == nil {
			udp.Close()
			return port
		}
	}
	return 0
}
