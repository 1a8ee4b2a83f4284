package ethereum

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/starlingp2p/starling/chain"
)

// fileOf is a chain file with some blocks.
func fileOf(t testing.TB, blocks []chain.Block) []byte {
	t.Helper()
	var out []byte
	for _, b := range blocks {
		var err error
		if out, err = AppendBlock(out, b); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func readFile(raw []byte) (out []chain.Block, err error) {
	r, err := NewFileReader(bytes.NewReader(raw))
	for err == nil {
		var b chain.Block
		if b, err = r.Next(); err == nil {
			out = append(out, b)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return out, err
}

func packed(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write(raw); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestChainFilesKeepBlocks(t *testing.T) {
	for name, cfg := range configs() {
		w := generate(t, cfg, 20)
		raw := fileOf(t, w.blocks)
		for _, file := range [][]byte{raw, packed(t, raw)} {
			got, err := readFile(file)
			if err != nil || len(got) != len(w.blocks) {
				t.Fatalf("%s: %d blocks, %v; want %d", name, len(got), err, len(w.blocks))
			}
			for i, b := range got {
				if want := w.blocks[i]; b.Ref() != want.Ref() || !bytes.Equal(b.Body, want.Body) || !bytes.Equal(b.Header.Bytes, want.Header.Bytes) {
					t.Errorf("%s: block %v came back as %v", name, want.Ref(), b.Ref())
				}
			}
		}
	}
}

// Threat M-03: what a broken file claims is not allocated. The error says where
// the file is broken, and what stands before that is read.
func TestBrokenChainFilesAreRefused(t *testing.T) {
	w := generate(t, configs()["frontier"], 6)
	whole := fileOf(t, w.blocks)
	for name, tt := range map[string]struct {
		tail []byte
		want string
	}{
		"a length of 2^64-1":  {[]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "claims a block of over"},
		"a length of 33 MiB":  {[]byte("\xfb\x02\x10\x00\x00"), "claims a block of over"},
		"no list":             {[]byte("hello"), "no list of a block"},
		"an empty list":       {[]byte{0xc0}, "block"},
		"a list of lists":     {[]byte{0xc3, 0xc0, 0xc0, 0xc0}, "header"},
		"half a length":       {[]byte{0xf9, 0x02}, "within a block's length"},
		"half a block":        {whole[:200], "after 200 of"},
		"32 MiB that are not": {[]byte("\xfb\x01\xff\xff\xf0rest"), "within a block"},
	} {
		for _, file := range [][]byte{append(bytes.Clone(whole), tt.tail...), packed(t, append(bytes.Clone(whole), tt.tail...))} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := readFile(file)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, chain.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || len(got) != len(w.blocks) {
				t.Errorf("%s: %d blocks, %v; want %d and %q", name, len(got), err, len(w.blocks), tt.want)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%s: %d bytes were allocated for a file of %d", name, grown, len(file))
			}
		}
	}
}

func FuzzChainFile(f *testing.F) {
	w := generate(f, configs()["all forks by block"], 3)
	f.Add(fileOf(f, w.blocks))
	f.Add(packed(f, fileOf(f, w.blocks)))
	f.Add([]byte("\xfb\x01\xff\xff\xf0rest"))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, _ := readFile(in)
		if len(got) == 0 {
			return
		}
		again, err := readFile(fileOf(t, got))
		if err != nil || len(again) != len(got) {
			t.Fatalf("%d blocks became %d, %v", len(got), len(again), err)
		}
		for i := range got {
			if got[i].Ref() != again[i].Ref() || !bytes.Equal(got[i].Body, again[i].Body) {
				t.Fatalf("block %v came back as %v", got[i].Ref(), again[i].Ref())
			}
		}
	})
}
