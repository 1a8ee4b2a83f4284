package daemon

import (
	"errors"
	"testing"
)

// The form of the address chooses the wire; a record says itself whose it is.
func TestTheAddressChoosesTheProber(t *testing.T) {
	const (
		opRecord  = "enr:-J24QNz9lbrKbN4iSmmjtnr7SjUMk4zB7f1krHZcTZx-JRKZd0kA2gjufUROD6T3sOWDVDnFJRvqBBo62zuF-hYCohOGAYiOoEyEgmlkgnY0gmlwhAPniryHb3BzdGFja4OFQgCJc2VjcDI1NmsxoQKNVFlCxh_B-716tTs-h1vMzZkSs1FTu_OYTNjgufplG4N0Y3CCJAaDdWRwgiQG"
		ethRecord = "enr:-IS4QHCYrYZbAKWCBRlAy5zzaDZXJBGkcnh4MHcBFZntXNFrdvJjX04jRzjzCBOonrkTfj499SZuOh8R33Ls8RRcy5wBgmlkgnY0gmlwhH8AAAGJc2VjcDI1NmsxoQPKY0yuDUmstAHYpMa2_oxVtw0RW_QAdpzBQA8yWM0xOIN1ZHCCdl8"
	)
	for address, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp": "native",
		"enode://aa@127.0.0.1:30303": "devp2p",
		"127.0.0.1:4001":             "native",
		opRecord:                     "opstack",
		ethRecord:                    "devp2p",
	} {
		if k, err := proberOf("", address, 0); err != nil || k.name != want {
			t.Errorf("%s is probed on %q, %v, want %q", address, k.name, err, want)
		}
	}
	if k, err := proberOf("ontology", "127.0.0.1:20338", 0); err != nil || k.name != "ontology" {
		t.Errorf("a named wire: %q, %v", k.name, err)
	}
	if k, err := proberOf("", "127.0.0.1:20338", 299); err != nil || k.name != "ontology" {
		t.Errorf("a network that only one wire has: %q, %v", k.name, err)
	}
	for _, bad := range [][2]string{{"native", "127.0.0.1:1"}, {"", "enode://aa@127.0.0.1:1"}, {"", "hello"}} {
		if k, err := proberOf(bad[0], bad[1], 299); !errors.Is(err, ErrNoProbe) {
			t.Errorf("network 299 of %q: %q, %v", bad, k.name, err)
		}
	}
	for name, address := range map[string]string{"": "hello", "pigeon": "127.0.0.1:1", "ontology": "enode://aa@127.0.0.1:1", "devp2p": "127.0.0.1:1"} {
		if k, err := proberOf(name, address, 0); !errors.Is(err, ErrNoProbe) {
			t.Errorf("%q on %q: %q, %v", address, name, k.name, err)
		}
	}
}

// A text that cannot be HOST:PORT is not taken for one.
func TestFormsOfAddressesAreKept(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:1": "host:port", "[::1]:65535": "host:port", "node.example.org:4001": "host:port",
		"127.0.0.1:0": "", "127.0.0.1:65536": "", "127.0.0.1:+1": "", "::1": "", "1:2:3": "", ":1": "", "a b:1": "", "http://127.0.0.1:1": "", "127.0.0.1": "", "": "",
		"/ip4/127.0.0.1": "multiaddr", "enr:-a": "enr", "enode://a@127.0.0.1:1": "enode",
	} {
		if got := AddrForm(text); got != want {
			t.Errorf("%q is of the form %q, want %q", text, got, want)
		}
	}
}

// What a node speaks tells its wire where several take the form of the address.
func TestWhatANodeSpeaksChoosesTheProber(t *testing.T) {
	native := wires()[0]
	at := "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUj2kj6vnc6iDEp"
	if k, ok := betterProber(native, at, []string{"/ipfs/id/1.0.0", "/opstack/req/payload_by_number/10/0/"}); !ok || k.name != "opstack" {
		t.Errorf("a node of chain 10 is probed on %q, %v", k.name, ok)
	}
	if k, ok := betterProber(native, at, []string{"/ipfs/id/1.0.0", "/starling/status/1"}); ok {
		t.Errorf("a native node is probed on %q", k.name)
	}
}
