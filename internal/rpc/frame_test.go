package rpc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"testing"
)

// deadless is a connection of which only deadlines are used.
type deadless struct{ net.Conn }

func cut(t *testing.T, in []byte) (values [][]byte, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	b := budget{most: requestsBudget}
	f := framer{deadless{ours}, bufio.NewReaderSize(bytes.NewReader(in), 16)}
	for {
		msg, err := f.read(&b)
		if err != nil {
			if used := b.used.Load(); used != 0 {
				t.Errorf("%d bytes are charged after the end", used)
			}
			return values, err
		}
		if room := cap(msg.bytes); room > 2*len(msg.bytes)+firstBytes {
			t.Errorf("%d bytes took room for %d", len(msg.bytes), room)
		}
		values = append(values, bytes.Clone(msg.bytes))
		msg.free()
	}
}

// FuzzFrames cuts a stream into messages: whatever comes, it ends, takes little
// more room than was sent, and cuts what is JSON as encoding/json does.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		`{"a":1}{"b":[2,"]}"]}`, `{"A":"]}"}["[\\\"",{}]  "X"{}`, " 1 2\n\"x\\\"\"[]", `12{}`, `]`, `"`, `{"a":"\\"}x`, "null true", "[[[[", `1,2`, "{} \n ",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := cut(t, in)
		var own *Error
		if !errors.Is(err, io.EOF) && !errors.As(err, &own) {
			t.Fatalf("%q ended with %v", in, err)
		}
		if total := len(bytes.Join(got, nil)); total > len(in) {
			t.Fatalf("%q became %d bytes", in, total)
		}
		if adjoined(in) {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(in))
		for i := 0; ; i++ {
			var want json.RawMessage
			if dec.Decode(&want) != nil {
				return // what follows is no JSON, and nobody's
			}
			if shape, err := shapeOf(want); err != nil {
				return // too deep for us
			} else if i >= len(got) {
				t.Fatalf("%q was cut into %d values (%+v), want %q next: %v", in, len(got), shape, want, err)
			}
			if !bytes.Equal(got[i], want) {
				t.Fatalf("%q: value %d is %q, want %q", in, i+1, got[i], want)
			}
		}
	})
}

// adjoined reports whether there may be a number or a word that touches what
// follows it: there encoding/json looks at the grammar, and we at the next
// bracket or space.
func adjoined(in []byte) bool {
	return bytes.ContainsAny(in, "0123456789ntf-+.eE")
}
