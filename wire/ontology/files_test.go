package ontology

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestRecentPeersInBothForms(t *testing.T) {
	addrs := []netip.AddrPort{netip.MustParseAddrPort("203.0.113.7:20338"), netip.MustParseAddrPort("[2001:db8::1]:1")}
	for old, want := range map[string]string{
		``:                 `{"299":["203.0.113.7:20338","[2001:db8::1]:1"]}`,
		`["1.2.3.4:5",""]`: `["203.0.113.7:20338","[2001:db8::1]:1"]`,
		`{"299":["1.1.1.1:1"],"7":["1.2.3.4:5"]}`: `{"299":["203.0.113.7:20338","[2001:db8::1]:1"],"7":["1.2.3.4:5"]}`,
	} {
		b, err := MergeRecent([]byte(old), 299, addrs)
		if err != nil || string(b) != want {
			t.Errorf("over %s: %s, %v", old, b, err)
		}
		if got, err := ParseRecent(b, 299); err != nil || !slices.Equal(got, addrs) {
			t.Errorf("over %s: %v, %v", old, got, err)
		}
	}
	if got, err := ParseRecent([]byte(`{"7":["1.2.3.4:5"]}`), 299); err != nil || len(got) > 0 {
		t.Errorf("another network's: %v, %v", got, err)
	}
	if got, err := ParseRecent([]byte(`["nonsense","1.2.3.4:0","seed:1","1.2.3.4:99999","::ffff:1.2.3.4:5"]`), 299); err != nil || len(got) > 0 {
		t.Errorf("nonsense: %v, %v", got, err)
	}
	for _, bad := range []string{"", "{", "7", `{"299":7}`, `["` + strings.Repeat("a", maxPeersFile) + `"]`} {
		if _, err := ParseRecent([]byte(bad), 299); err == nil {
			t.Errorf("%.20q is read", bad)
		}
	}
	many := slices.Repeat(addrs, 5000)
	b, _ := MergeRecent([]byte("[]"), 299, many)
	if got, _ := ParseRecent(b, 299); len(got) != recentV1 {
		t.Errorf("v1.0.0's file has %d addresses", len(got))
	}
}

func TestReservedPeersAreExact(t *testing.T) {
	r, err := ParseReserved([]byte(`{"reserved":["203.0.113.7","node.example.org"],"mask":["203.0.113.9","::ffff:203.0.113.10"]}`))
	if err != nil || !slices.Equal(r.Reserved, []string{"203.0.113.7", "node.example.org"}) ||
		!slices.Equal(r.Mask, []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("203.0.113.10")}) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "[]", `{"reserved":["203.0.113"]}`, `{"reserved":["a b"]}`, `{"mask":["name"]}`} {
		if r, err := ParseReserved([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, r)
		}
	}
}

func FuzzParseRecent(f *testing.F) {
	f.Add([]byte(`["203.0.113.7:20338"]`))
	f.Add([]byte(`{"299":["203.0.113.7:20338"]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := ParseRecent(in, 299)
		if err != nil {
			return
		}
		b, err := MergeRecent(nil, 299, got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRecent(b, 299)
		if err != nil || !slices.Equal(again, got) || bytes.Contains(b, []byte("%")) {
			t.Fatalf("%v became %v, %v", got, again, err)
		}
	})
}
