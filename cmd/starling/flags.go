package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/daemon"
)

// A keyFlag is a flag that says what a key of the config says.
type keyFlag struct {
	name, key, value, usage string
	list, yes               bool // takes several; takes none
	quiet                   bool // is taken, and left out of the help, which stays short
}

// keyFlags are few on purpose: all else is in the file and the environment.
func keyFlags() []keyFlag {
	return []keyFlag{
		{name: "log-level", key: "log_level", value: "LEVEL", usage: "debug, info, warn or error"},
		{name: "log-format", key: "log_format", value: "FORMAT", usage: "text or json", quiet: true},
		{name: "network", key: "network.preset", value: "NAME", usage: "a public network, as the config's preset"},
		{name: "listen", key: "network.listen", value: "ADDR", usage: "where others reach us; may be repeated", list: true},
		{name: "seed", key: "network.seeds", value: "ADDR", usage: "whom to meet first; may be repeated", list: true},
		{name: "static", key: "network.static", value: "ADDR", usage: "whom to stay connected to; may be repeated", list: true},
		{name: "max-peers", key: "network.max_peers", value: "N", usage: "how many peers at most"},
		{name: "net-restrict", key: "network.net_restrict", value: "RANGE", usage: "the only address ranges to deal with; may be repeated", list: true},
		{name: "no-discovery", key: "network.no_discovery", usage: "look for nobody", yes: true},
		{name: "target", key: "network.target", value: "NUMBER:HASH", usage: "a block that is trusted and to be reached"},
		{name: "key-file", key: "network.key_file", value: "FILE", usage: "our identity"},
	}
}

// configFlags are those of every verb that reads a whole config.
func configFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{
			Name: "config", Usage: "the config `FILE`; \"starling init\" makes one", TakesFile: true,
			DefaultText: "config.toml in the datadir",
		},
		&cli.StringFlag{Name: "datadir", Usage: "the node's `FOLDER`", TakesFile: true, DefaultText: "that of the config file", Validator: aFolder},
		&cli.IntFlag{Name: "port", Usage: "listen on port `N` of each address; 0: any free one", HideDefault: true, Validator: between(0, 65535)},
	}
	for _, f := range keyFlags() {
		usage := f.usage
		if f.value != "" {
			usage = "`" + f.value + "`: " + usage
		}
		switch {
		case f.list:
			flags = append(flags, &cli.StringSliceFlag{Name: f.name, Usage: usage})
		case f.yes:
			flags = append(flags, &cli.BoolFlag{Name: f.name, Usage: usage, HideDefault: true})
		default:
			flags = append(flags, &cli.StringFlag{Name: f.name, Usage: usage, Hidden: f.quiet})
		}
	}
	return append(flags, spellingFlags(flags)...)
}

// layers is where the config lies and what counts for more than it: the
// environment, and the flags most.
func layers(cmd *cli.Command) (path string, over []daemon.Override) {
	env, unknown := daemon.FromEnv(os.Environ())
	for _, name := range unknown {
		hint := "see \"starling config docs\""
		if near := daemon.NearestEnv(name); near != "" {
			hint = "did you mean " + near + "?"
		}
		fmt.Fprintf(cmd.Root().ErrWriter, "starling: warning: the variable %s is not known and does nothing; %s\n", name, hint)
	}
	path = cmd.String("config")
	if path == "" {
		path = os.Getenv("STARLING_CONFIG")
	}
	for _, o := range env {
		// Whoever names a file on the command line means the datadir of that file.
		if o.Key != "datadir" || !cmd.IsSet("config") {
			over = append(over, o)
		}
	}
	if dir := cmd.String("datadir"); dir != "" {
		over = append(over, daemon.Override{Key: "datadir", Value: dir, Origin: "flag --datadir"})
	}
	if path == "" {
		path = filepath.Join(defaultDatadir(), "config.toml")
		for _, o := range over {
			if o.Key == "datadir" {
				path = filepath.Join(o.Value, "config.toml")
			}
		}
	}
	for _, f := range keyFlags() {
		if !cmd.IsSet(f.name) {
			continue
		}
		o := daemon.Override{Key: f.key, Origin: daemon.Origin("flag --" + f.name)}
		switch {
		case f.list:
			o.Value = strings.Join(cmd.StringSlice(f.name), ",")
		case f.yes:
			o.Value = strconv.FormatBool(cmd.Bool(f.name))
		default:
			o.Value = cmd.String(f.name)
		}
		over = append(over, o)
	}
	over = append(over, spelt(cmd)...)
	if cmd.IsSet("port") {
		over = append(over, daemon.Override{Key: "network.listen", Origin: "flag --port", Change: withPort(cmd.Int("port"))})
	}
	return path, over
}

// withPort puts a port into every address of a list: multiaddrs, or host:port.
func withPort(port int) func(string) string {
	return func(list string) string {
		addrs := strings.Split(list, ",")
		for i, a := range addrs {
			if host, _, err := net.SplitHostPort(a); err == nil {
				addrs[i] = net.JoinHostPort(host, strconv.Itoa(port))
				continue
			}
			parts := strings.Split(a, "/")
			for j := range parts {
				if (parts[j] == "tcp" || parts[j] == "udp") && j+1 < len(parts) {
					parts[j+1] = strconv.Itoa(port)
				}
			}
			addrs[i] = strings.Join(parts, "/")
		}
		return strings.Join(addrs, ",")
	}
}

// loadConfig reads the config in all its layers.
func loadConfig(cmd *cli.Command) (daemon.Config, error) {
	path, over := layers(cmd)
	return daemon.LoadLayers(path, over...)
}
