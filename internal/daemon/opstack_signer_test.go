package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// authority vouches for certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// certify makes a certificate for the loopback address: of an authority, or,
// with a nil one, the authority's own.
func certify(t *testing.T, by *authority) (a *authority, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return &authority{c, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// opSigner is an op-signer on loopback, which wants a certificate of its clients.
type opSigner struct {
	url     string
	files   map[string]string // by key of the config
	down    atomic.Bool
	asked   atomic.Int64
	refused chan struct{} // capacity 1: somebody asked while it was down
}

func runOPSigner(t *testing.T, key string) *opSigner {
	t.Helper()
	k, err := codec.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &opSigner{files: map[string]string{}, refused: make(chan struct{}, 1)}
	ca, _ := certify(t, nil)
	server, serverKey := certify(t, ca)
	client, clientKey := certify(t, ca)
	dir := t.TempDir()
	for name, raw := range map[string][]byte{"signer_ca": ca.pem, "signer_cert": client.pem, "signer_key": clientKey} {
		s.files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(s.files[name], raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Method string
			Params []struct {
				ChainID       uint64
				PayloadHash   []byte
				SenderAddress string
			}
		}
		switch err := json.NewDecoder(r.Body).Decode(&q); {
		case err != nil || r.Header.Get("X-Role") != "sequencer":
			t.Errorf("request %v, %v", err, r.Header)
		case s.down.Load():
			http.Error(w, "not now", http.StatusServiceUnavailable)
			select {
			case s.refused <- struct{}{}:
			default:
			}
		case q.Method == "health_status":
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"v1.0.0"}`)
		case q.Method != "opsigner_signBlockPayload" || q.Params[0].SenderAddress != strings.ToLower(opAccount):
			t.Errorf("request %+v", q)
		default:
			s.asked.Add(1)
			sig, err := k.Sign(codec.SigningHash(q.Params[0].ChainID, chain.Hash(q.Params[0].PayloadHash)))
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"0x%x"}`, sig)
		}
	}))
	pair, err := tls.X509KeyPair(server.pem, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

// signedBy turns a config into that of a node whose blocks the signer signs.
func (s *opSigner) signedBy(t *testing.T) func(*Config) {
	produce := producing(t)
	return func(c *Config) {
		produce(c)
		o := &c.Networks[0].OPStack
		o.SequencerKey, o.SignerEndpoint, o.SignerAddress, o.SignerHeaders = "", s.url, opAccount, []string{"X-Role: sequencer"}
		o.SignerCA, o.SignerCert, o.SignerKey = s.files["signer_ca"], s.files["signer_cert"], s.files["signer_key"]
	}
}

// A remote signer signs the blocks of a node, over TLS with certificates on
// both sides. While it is away there are no blocks, and the node goes on.
func TestARemoteSignerSignsTheBlocks(t *testing.T) {
	signer := runOPSigner(t, opKey)
	maker := serveOP(t, signer.signedBy(t))
	maker.reaches(t, 2)
	signer.down.Store(true)
	select {
	case <-signer.refused:
	case <-inTime(t).Done():
		t.Fatal("nobody asked the signer")
	}
	signer.down.Store(false)
	head := maker.reaches(t, maker.node.Status().Head.Number+2)
	if n := signer.asked.Load(); n < int64(head.Number) {
		t.Errorf("%d of %d blocks were signed by it", n, head.Number)
	}
}

func TestARemoteSignerThatCannotBeUsedEndsTheStart(t *testing.T) {
	signer := runOPSigner(t, opKey)
	stranger, strangerKey := certify(t, nil)
	write := func(raw []byte, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "file.pem")
		if err := os.WriteFile(path, raw, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		change func(*OPStack)
		want   string
	}{
		"nobody there":           {func(o *OPStack) { o.SignerEndpoint = "https://127.0.0.1:1" }, "the signer at 127.0.0.1:1 is not well"},
		"an unknown authority":   {func(o *OPStack) { o.SignerCA = write(stranger.pem, 0o600) }, "is not well"},
		"the system's authority": {func(o *OPStack) { o.SignerCA = "" }, "is not well"},
		"no certificate":         {func(o *OPStack) { o.SignerCert, o.SignerKey = "", "" }, "is not well"},
		"a stranger's":           {func(o *OPStack) { o.SignerCert, o.SignerKey = write(stranger.pem, 0o600), write(strangerKey, 0o600) }, "is not well"},
		"of another key":         {func(o *OPStack) { o.SignerKey = write(strangerKey, 0o600) }, "signer_cert: tls: private key does not match"},
		"a key for all to read":  {func(o *OPStack) { o.SignerKey = write(strangerKey, 0o644) }, "chmod 600"},
		"no key file":            {func(o *OPStack) { o.SignerKey = "keys/none" }, "signer_key: key file"},
		"no PEM":                 {func(o *OPStack) { o.SignerCA = write([]byte("x"), 0o600) }, "has no certificate in PEM"},
		"another sequencer":      {func(o *OPStack) { o.Sequencer = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A" }, "not of the sequencer"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := ParseConfig([]byte(opConfig))
			if err != nil {
				t.Fatal(err)
			}
			cfg.Datadir, cfg.Networks[0].NoDiscovery = t.TempDir(), true
			signer.signedBy(t)(&cfg)
			tt.change(&cfg.Networks[0].OPStack)
			err = Run(inTime(t), cfg, Output{Err: new(strings.Builder)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestBadSignerSettingsAreRefused(t *testing.T) {
	const good = "signer_endpoint = \"https://127.0.0.1:8443\"\nsigner_address = \"0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A\"\n"
	if _, err := ParseConfig(withFlags(good)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ lines, want string }{
		{good + `signer_cert = "c"`, "signer_cert and signer_key go together"},
		{good + `signer_headers = ["secret"]`, `a header is no "Name: value"`},
		{good + `sequencer_key = "k"`, "sequencer_key and signer_endpoint both sign"},
		{strings.Replace(good, "0x19E7", "0x18E7", 1), "nobody would take its blocks"},
		{strings.Replace(good, "https", "ftp", 1), "signer_endpoint is no URL"},
		{strings.Replace(good, "https", "http", 1) + `signer_ca = "c"`, "begins with http://"},
		{`signer_ca = "c"`, "signer_ca is set, but signer_endpoint is not"},
		{`gossip_max_age = "1500ms"`, "want whole seconds"},
		{`gossip_max_age = "40m"`, "blocks of 1000 heights are remembered"},
		{`mesh_d = -1`, "mesh_d is -1"},
	} {
		if _, err := ParseConfig(withFlags(tt.lines)); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret\"") {
			t.Errorf("%s: %v, want %q", tt.lines, err, tt.want)
		}
	}
}
