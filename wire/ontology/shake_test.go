package ontology

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// worked is a node key with the proof of work.
func worked(t testing.TB) (public, private []byte) {
	t.Helper()
	private, _ = hex.DecodeString("47e39f9a74273279fc8c586d7d2b369aae0bd831e79550149d2f6c9e785d0e1c")
	public, err := codec.KadKeyOf(private)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

// The conversations in testdata/handshake.txt: "new" begins a handshake, each
// line of "take" is a message of the other side, and the answers are shown.
func TestHandshakeConversations(t *testing.T) {
	if _, err := os.Stat("testdata/handshake.txt"); err != nil {
		t.Fatal(err)
	}
	public, _ := worked(t)
	var s *shake
	show := func(fs []frame, err error) string {
		var b strings.Builder
		for _, f := range fs {
			fmt.Fprintf(&b, "> %s", f.cmd)
			if f.cmd == codec.CmdVersion {
				v, _ := codec.DecodeVersion(f.payload)
				fmt.Fprintf(&b, " soft=%q consensus=%v", v.Soft, v.Consensus)
			}
			b.WriteByte('\n')
		}
		var fault *wire.Fault
		var refused *peer.RefusedError
		switch {
		case errors.As(err, &fault):
			fmt.Fprintf(&b, "fault %s\n", fault.Offense)
		case errors.As(err, &refused):
			fmt.Fprintf(&b, "refused %s\n", refused.Reason)
		case s.done:
			fmt.Fprintf(&b, "done: strict=%v kad=%v\n", s.soft.Dialect(), s.hasKad)
		}
		if b.Len() == 0 {
			return "waits\n"
		}
		return b.String()
	}
	datadriven.RunTest(t, "testdata/handshake.txt", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "new":
			v := codec.Version{Nonce: 1, Soft: "v1.9.0", Consensus: d.HasArg("consensus")}
			var key []byte
			if d.HasArg("key") {
				v.Soft, key = "v2.5.9", public
			}
			var fs []frame
			s, fs = newShake(v, key, d.HasArg("dial"), func(n uint64) bool { return n == 1 })
			return show(fs, nil)
		case "take":
			var b strings.Builder
			lines := bufio.NewScanner(strings.NewReader(d.Input))
			for lines.Scan() {
				words := strings.Fields(lines.Text())
				b.WriteString(show(s.take(message(t, words, public))))
			}
			return b.String()
		}
		t.Fatalf("no command %q", d.Cmd)
		return ""
	})
}

// message makes a message of its words.
func message(t *testing.T, words []string, key []byte) (codec.Command, []byte) {
	switch words[0] {
	case "version":
		v := codec.Version{Nonce: 2}
		for _, w := range words[1:] {
			k, val, _ := strings.Cut(w, "=")
			switch k {
			case "soft":
				v.Soft = val
			case "self":
				v.Nonce = 1
			case "consensus":
				v.Consensus = true
			case "short":
				return codec.CmdVersion, v.Append(nil)[:50]
			}
		}
		return codec.CmdVersion, v.Append(nil)
	case "verack":
		return codec.CmdVerAck, []byte{0}
	case "updatekadid":
		if len(words) > 1 {
			key = append([]byte{3}, make([]byte, 32)...)
		}
		return codec.CmdUpdateKadID, codec.UpdateKadID{Key: key}.Append(nil)
	case "ping":
		return codec.CmdPing, codec.Ping{}.Append(nil)
	}
	t.Fatalf("no message %q", words[0])
	return 0, nil
}
