package daemon

import "testing"

// Ports are mapped by default as geth does, on public networks: never those of
// loopback, nor on a private network.
func TestPortsAreMappedByDefaultOnPublicNetworks(t *testing.T) {
	for _, tt := range []struct {
		name    string
		nat     string
		network Network
		listen  string
		want    string
	}{
		{"a preset", "", Network{Preset: "sepolia"}, "", "any"},
		{"a preset that listens everywhere", "", Network{Preset: "sepolia"}, "0.0.0.0:30303", "any"},
		{"a preset behind a port alone", "", Network{Preset: "sepolia"}, ":30303", "any"},
		{"a preset on loopback", "", Network{Preset: "sepolia"}, "127.0.0.1:0", "none"},
		{"a preset on loopback of IPv6", "", Network{Preset: "sepolia"}, "[::1]:0", "none"},
		{"a preset that says where it is", "", Network{Preset: "sepolia", Advertise: []string{"203.0.113.7:30303"}}, "", "none"},
		{"a preset that does not listen", "", Network{Preset: "sepolia", NoListen: true}, "", "none"},
		{"a private network", "", Network{}, "0.0.0.0:30303", "none"},
		{"the operator's word", "upnp", Network{}, "0.0.0.0:30303", "upnp"},
		{"the operator's word against it", "none", Network{Preset: "sepolia"}, "", "none"},
	} {
		e := &Ethereum{NAT: tt.nat}
		if got := e.router(tt.network, tt.listen); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
