package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/starlingp2p/starling/internal/keyfile"
	"github.com/starlingp2p/starling/internal/secret"
)

func keyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Category: categoryTool, Usage: "make, show and convert identity keys",
		Commands: []*cli.Command{keyNewCommand(), keyShowCommand(), keyConvertCommand()},
	}
}

// Flags of the key verbs.
func keyFormFlag(name, usage, value string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage + ": libp2p, hex or keystore", Value: value}
}

func keyKindFlag(usage, value string) cli.Flag {
	return &cli.StringFlag{Name: "type", Usage: usage + ": ed25519 or secp256k1", Value: value}
}

func passwordFlag() cli.Flag {
	return &cli.StringFlag{Name: "password-file", Usage: "`FILE` whose first line is a keystore's password", TakesFile: true}
}

func keyJSONFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON instead of text", HideDefault: true}
}

// password reads the first line of the password's file, if one is named.
func password(cmd *cli.Command) ([]byte, error) {
	path := cmd.String("password-file")
	if path == "" {
		return nil, nil
	}
	raw, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

func keyNewCommand() *cli.Command {
	return &cli.Command{
		Name: "new", Usage: "make a key in a new file", ArgsUsage: "FILE",
		Description: "The file has mode 0600 and nothing is ever overwritten. A native node takes a key of either type as libp2p.",
		Flags:       []cli.Flag{keyKindFlag("what to make", keyfile.Ed25519), keyFormFlag("format", "how to write it", keyfile.Libp2p), passwordFlag(), keyJSONFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error {
			path, err := one(cmd, "one file", "as in \"starling key new node.key\"")
			if err != nil {
				return err
			}
			k, err := keyfile.New(cmd.String("type"))
			if err != nil {
				return &usageError{err}
			}
			return writeKey(cmd, k, cmd.String("format"), path)
		},
	}
}

// writeKey writes a key into a new file, and shows who it is.
func writeKey(cmd *cli.Command, k keyfile.Key, form, path string) error {
	pass, err := password(cmd)
	if err != nil {
		return &usageError{err}
	}
	raw, err := k.Encode(form, pass)
	if err != nil {
		return &usageError{err}
	}
	if err := secret.Create(path, raw); err != nil {
		return &usageError{fmt.Errorf("key file %w", err)}
	}
	return showKey(cmd, k, form, path)
}

// maxKeyFile bounds a file of a key or of a password, in bytes.
const maxKeyFile = 16 << 10

func readSecret(path string) ([]byte, error) {
	raw, err := secret.Read(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; make a key with \"starling key new %s\"", err, path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file %w", err)
	}
	return raw, nil
}

func readKey(cmd *cli.Command, path string) (keyfile.Key, string, error) {
	raw, err := readSecret(path)
	if err != nil {
		return keyfile.Key{}, "", &usageError{err}
	}
	pass, err := password(cmd)
	if err != nil {
		return keyfile.Key{}, "", &usageError{err}
	}
	k, form, err := keyfile.Decode(raw, cmd.String("type"), pass)
	if errors.Is(err, keyfile.ErrKind) {
		err = fmt.Errorf("%w; with --type", err)
	}
	if err != nil {
		return k, form, &usageError{fmt.Errorf("%s: %w", path, err)}
	}
	return k, form, nil
}

func keyShowCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "say whose key is in a file, without showing the key", ArgsUsage: "FILE",
		Flags: []cli.Flag{
			keyKindFlag("what hex digits are a key of, which they do not say themselves", ""), passwordFlag(),
			&cli.BoolFlag{Name: "secret", Usage: "print the key itself too", HideDefault: true}, keyJSONFlag(),
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			path, err := one(cmd, "one file", "a node's key is keys/node.key in its datadir")
			if err != nil {
				return err
			}
			k, form, err := readKey(cmd, path)
			if err != nil {
				return err
			}
			return showKey(cmd, k, form, path)
		},
	}
}

func keyConvertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "write the key of one file into a new one, in another form", ArgsUsage: "FROM TO",
		Flags: []cli.Flag{keyFormFlag("to", "the form to write", keyfile.Hex), keyKindFlag("what hex digits are a key of, which they do not say themselves", ""), passwordFlag(), keyJSONFlag()},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if cmd.Args().Len() != 2 {
				return &usageError{fmt.Errorf("convert wants two files, got %d; as in \"starling key convert --to hex node.key node.hex\"", cmd.Args().Len())}
			}
			k, _, err := readKey(cmd, cmd.Args().Get(0))
			if err != nil {
				return err
			}
			return writeKey(cmd, k, cmd.String("to"), cmd.Args().Get(1))
		},
	}
}

// keyView is what the key verbs print.
type keyView struct {
	V           int    `json:"v"`
	File        string `json:"file"`
	Format      string `json:"format"`
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	PeerID      string `json:"peer_id"`
	Public      string `json:"public"`
	NodeID      string `json:"node_id,omitempty"`
	Secret      string `json:"secret,omitempty"`
}

func showKey(cmd *cli.Command, k keyfile.Key, form, path string) error {
	v := keyView{1, path, form, k.Kind(), k.Fingerprint(), k.PeerID(), k.Public(), k.NodeID(), ""}
	if cmd.Bool("secret") {
		v.Secret = k.Secret()
	}
	if cmd.Bool("json") {
		return printJSON(cmd.Root().Writer, v)
	}
	return printKey(cmd.Root().Writer, v)
}

func printKey(w io.Writer, v keyView) error {
	return table(w, "", func(tw *tabwriter.Writer) {
		for _, row := range [][2]string{
			{"file", v.File + " (" + v.Format + ")"},
			{"type", v.Type},
			{"fingerprint", v.Fingerprint},
			{"peer id", v.PeerID},
			{"public key", v.Public},
			{"node id", v.NodeID},
			{"secret", v.Secret},
		} {
			if row[1] != "" {
				fmt.Fprintf(tw, "%s\t%s\n", row[0], row[1])
			}
		}
	})
}
