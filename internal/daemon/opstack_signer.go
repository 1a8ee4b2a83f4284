package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	family "github.com/starlingp2p/starling/ledger/opstack"
	"github.com/starlingp2p/starling/wire/opstack"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// signerTime is how long a remote signer has at the start to say that it is well.
const signerTime = 10 * time.Second

// opSigning is who signs the blocks that this node makes.
type opSigning struct {
	account codec.Address
	// open may ask the signer, until ctx ends; closed ends connections to it.
	open   func(ctx context.Context) (family.Signer, error)
	closed func()
}

// sequencer is whose blocks are taken: ours, where the config names nobody.
func (s *opSigning) sequencer(named codec.Address) (codec.Address, error) {
	switch {
	case s == nil || named == s.account:
		return named, nil
	case named == codec.Address{}:
		return s.account, nil
	}
	return named, fmt.Errorf("network.opstack.sequencer_key: the key is of %v, not of the sequencer %v; restore the right one, or take the key out of the config to run a follower", s.account, named)
}

// checkSigner looks at what signs the blocks of a private chain.
func (o *OPStack) checkSigner(p *problems) {
	https := strings.HasPrefix(o.SignerEndpoint, "https://")
	switch u, err := url.Parse(o.SignerEndpoint); {
	case o.SignerEndpoint == "":
		for _, f := range []struct {
			key string
			set bool
		}{{"signer_address", o.SignerAddress != ""}, {"signer_headers", len(o.SignerHeaders) > 0}, {"signer_ca", o.SignerCA != ""}, {"signer_cert", o.SignerCert != ""}, {"signer_key", o.SignerKey != ""}} {
			if f.set {
				p.bad("network.opstack.%s is set, but signer_endpoint is not; name the signer, or leave it out", f.key)
			}
		}
		return
	case err != nil || !https && u.Scheme != "http" || u.Host == "":
		p.bad("network.opstack.signer_endpoint is no URL; write it as https://127.0.0.1:8443") // which may hold a key
	case !https && o.SignerCA+o.SignerCert+o.SignerKey != "":
		p.bad("network.opstack.signer_endpoint begins with http://, but there are certificates for it; write https://, or leave them out")
	}
	if o.SequencerKey != "" || o.SequencerHex != "" {
		p.bad("network.opstack.sequencer_key and signer_endpoint both sign the blocks; leave one of them out")
	}
	if (o.SignerCert == "") != (o.SignerKey == "") {
		p.bad("network.opstack.signer_cert and signer_key go together; set both, or none")
	}
	account, err := codec.ParseAddress(o.SignerAddress)
	if err != nil {
		p.bad("network.opstack.signer_address: %w; signer_endpoint needs it", withoutPackage(err))
	} else if who, err := codec.ParseAddress(o.Sequencer); o.Sequencer != "" && err == nil && who != account {
		p.bad("network.opstack.signer_address is %v, and the sequencer is %v; nobody would take its blocks", account, who)
	}
	if _, err := o.signerHeaders(); err != nil {
		p.bad("network.opstack.signer_headers: %w", err)
	}
}

// checkWire looks at what the wire is told beside addresses.
func (o *OPStack) checkWire(n *Network, p *problems) {
	for _, f := range []struct {
		key   string
		value int
	}{{"mesh_d", o.MeshD}, {"mesh_lo", o.MeshLo}, {"mesh_hi", o.MeshHi}, {"mesh_lazy", o.MeshLazy}} {
		if f.value < 0 {
			p.bad("network.opstack.%s is %d, want more", f.key, f.value)
		}
	}
	if o.DiscoveryUDP < 0 || o.DiscoveryUDP > 65535 {
		p.bad("network.opstack.discovery_udp is %d, want a port", o.DiscoveryUDP)
	}
	if len(o.Agent) > 256 {
		p.bad("network.opstack.agent has %d bytes, want at most 256", len(o.Agent))
	}
	if n.NoDiscovery && o.DiscoveryUDP != 0 {
		p.bad("network.no_discovery is set, but opstack.discovery_udp is %d; leave one of them out", o.DiscoveryUDP)
	}
	if d := time.Duration(o.GossipMaxAge); d < 0 || d%time.Second != 0 || d > time.Hour {
		p.bad("network.opstack.gossip_max_age is %v, want whole seconds, at most an hour", d)
		return
	}
	fits := multiaddrOf("tcp")
	for key, addrs := range map[string][]string{"listen": n.Listen, "advertise": n.Advertise} {
		if slices.ContainsFunc(addrs, func(a string) bool { return fits(key, a) != nil }) {
			return // which is told already
		}
	}
	// The rest is the wire's to say: it is asked as it will be at the start.
	cfg := opstack.Config{Listen: n.Listen, Advertise: n.Advertise, NoListen: n.NoListen, TLS: o.TLS, Plaintext: o.Plaintext, Mesh: o.mesh()}
	if err := opstack.CheckReach(cfg); err != nil {
		p.bad("network.opstack: %w", withoutPackage(err))
	}
	if rc := (rules.Config{ChainID: 1, BlockTime: max(time.Duration(o.BlockTime), time.Second), MaxAge: time.Duration(o.GossipMaxAge)}); o.GossipMaxAge != 0 {
		if err := rc.Validate(); err != nil {
			p.bad("network.opstack.gossip_max_age: %w", withoutPackage(err))
		}
	}
}

func (o *OPStack) mesh() opstack.Mesh {
	return opstack.Mesh{D: o.MeshD, Lo: o.MeshLo, Hi: o.MeshHi, Lazy: o.MeshLazy}
}

// signerHeaders reads "Name: value" lines.
func (o *OPStack) signerHeaders() (http.Header, error) {
	h := http.Header{}
	for _, line := range o.SignerHeaders {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(line, "\r\n") {
			return nil, errors.New("a header is no \"Name: value\"") // it may hold a secret
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}

// signing is who signs here; nil: nobody, this node follows.
func (o *OPStack) signing(dir *Datadir) (*opSigning, error) {
	local := func(k codec.Key, err error) (*opSigning, error) {
		if err != nil {
			return nil, fmt.Errorf("network.opstack.sequencer_key: %w", err)
		}
		s := family.KeySigner{Key: k}
		return &opSigning{k.Address(), func(context.Context) (family.Signer, error) { return s, nil }, func() {}}, nil
	}
	switch {
	case o.SequencerKey != "":
		return local(loadOPKey(dir.resolve(o.SequencerKey)))
	case o.SequencerHex != "":
		k, err := codec.ParseKey(o.SequencerHex)
		return local(k, withoutPackage(err))
	case o.SignerEndpoint == "":
		return nil, nil
	}
	account, err := codec.ParseAddress(o.SignerAddress)
	if err != nil {
		return nil, err
	}
	headers, err := o.signerHeaders()
	if err != nil {
		return nil, err
	}
	conf, err := o.signerTLS(dir)
	if err != nil {
		return nil, err
	}
	s := &opSigning{account: account, closed: func() {}}
	s.open = func(ctx context.Context) (family.Signer, error) {
		ctx, cancel := context.WithTimeout(ctx, signerTime)
		defer cancel()
		r, err := family.NewRemoteSigner(ctx, family.RemoteConfig{Endpoint: o.SignerEndpoint, Account: account, Headers: headers, TLS: conf})
		if err != nil {
			return nil, fmt.Errorf("network.opstack.signer_endpoint: %w", withoutPackage(err))
		}
		s.closed = r.Close
		return r, nil
	}
	return s, nil
}

// signerTLS makes what the signer's certificates are checked by. Ours is read
// at each connection, since such certificates are renewed often.
func (o *OPStack) signerTLS(dir *Datadir) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.SignerCA != "" {
		pem, err := os.ReadFile(dir.resolve(o.SignerCA))
		if err != nil {
			return nil, fmt.Errorf("network.opstack.signer_ca: %w", err)
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("network.opstack.signer_ca: %s has no certificate in PEM", o.SignerCA)
		}
	}
	if o.SignerCert == "" {
		return conf, nil
	}
	load := func() (*tls.Certificate, error) {
		cert, err := os.ReadFile(dir.resolve(o.SignerCert))
		if err != nil {
			return nil, fmt.Errorf("network.opstack.signer_cert: %w", err)
		}
		key, err := readSecret(dir.resolve(o.SignerKey))
		if err != nil {
			return nil, fmt.Errorf("network.opstack.signer_key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("network.opstack.signer_cert: %w", err)
		}
		return &pair, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	return conf, nil
}
