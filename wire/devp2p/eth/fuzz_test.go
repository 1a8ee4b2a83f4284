package eth

import (
	"bytes"
	"maps"
	"runtime"
	"slices"
	"testing"
)

// FuzzMessage gives each decoder what the fuzzer makes. What decodes must come
// back the same from our encoder, and memory must follow the input's length.
func FuzzMessage(f *testing.F) {
	names := slices.Sorted(maps.Keys(decoders))
	all := seeds(f)
	for i, name := range names {
		f.Add(uint8(i), all[name])
	}
	f.Fuzz(func(t *testing.T, which uint8, in []byte) {
		name := names[int(which)%len(names)]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := decoders[name](in)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(in)+64<<10); got > most {
			t.Fatalf("%s: %d bytes allocated %d, at most %d", name, len(in), got, most)
		}
		if err != nil {
			isFault(t, name, err)
			return
		}
		switch name {
		case "receipts 68": // whose blooms are made anew
			again, err := decoders[name](out)
			if err != nil || !bytes.Equal(again, out) {
				t.Fatalf("%s: %x came back as %x, %v", name, out, again, err)
			}
		case "get bodies", "get txs", "get receipts 69", "get receipts 70", "announced": // which may be cut
			if len(out) < len(in) {
				return
			}
			fallthrough
		default:
			if !bytes.Equal(out, in) {
				t.Fatalf("%s: %x came back as %x", name, in, out)
			}
		}
	})
}
