package peer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/starlingp2p/starling/peer"
)

func TestCleanBoundsAndEscapesRemoteText(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "starling/0.1 (linux)", "starling/0.1 (linux)"},
		{"control", "a\nb\x1b[31mc\x00", "a?b?[31mc?"},
		{"invalid utf-8", "a\xffb", "a?b"},
		{"bidi override", "a\u202eb", "a?b"},
		{"long", strings.Repeat("x", 1<<20), strings.Repeat("x", peer.MaxText)},
		{"cut inside a rune", strings.Repeat("x", peer.MaxText-1) + "é", strings.Repeat("x", peer.MaxText-1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := peer.Clean(tt.in); got != tt.want {
				t.Errorf("Clean = %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("agent\n\x80")
	f.Fuzz(func(t *testing.T, in string) {
		got := peer.Clean(in)
		if len(got) > peer.MaxText || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Fatalf("Clean(%q) = %q", in, got)
		}
	})
}

func TestRefusedErrorMatchesByReason(t *testing.T) {
	err := fmt.Errorf("dial: %w", &peer.RefusedError{Reason: peer.WrongGenesis, Remote: true, Detail: "theirs 0xbad"})
	if !errors.Is(err, peer.Refuse(peer.WrongGenesis)) {
		t.Error("errors.Is did not match the same reason")
	}
	if errors.Is(err, peer.Refuse(peer.Banned)) {
		t.Error("errors.Is matched another reason")
	}
	if want := "dial: peer: refused by the peer: wrong-genesis: theirs 0xbad"; err.Error() != want {
		t.Errorf("Error = %q, want %q", err, want)
	}
}

func TestEveryOffenseHasASeverity(t *testing.T) {
	for _, o := range peer.Offenses() {
		if s := o.Severity(); s >= 0 || s.String() == "unknown" {
			t.Errorf("%s costs %d (%s)", o, s, s)
		}
	}
}
