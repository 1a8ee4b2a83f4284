package codec

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// Threat M-03: each command has a bound of its own, and it is checked on the
// header alone.
func TestEachCommandHasABound(t *testing.T) {
	for _, c := range append(Commands(), Unknown) {
		if c.MaxPayload() > 10<<20 {
			t.Errorf("%s may have %d bytes", c, c.MaxPayload())
		}
		frame, err := AppendFrame(nil, MagicMain, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		for size, ok := range map[uint32]bool{0: true, uint32(c.MaxPayload()): true, uint32(c.MaxPayload()) + 1: false, 1<<31 - 1: false, 1<<32 - 1: false} {
			binary.LittleEndian.PutUint32(frame[16:], size)
			h, err := DecodeHead(frame, MagicMain)
			if ok != (err == nil) || !ok && wiretest.OffenseOf(err) != peer.BadFrame {
				t.Errorf("%s of %d bytes: %v", c, size, err)
			}
			if ok && h.Command != c {
				t.Errorf("%s became %s", c, h.Command)
			}
		}
		if _, err := AppendFrame(nil, MagicMain, c, make([]byte, c.MaxPayload()+1)); !errors.Is(err, wire.ErrTooLarge) {
			t.Errorf("%s over its bound: %v", c, err)
		}
	}
}

func TestHeadersOfFrames(t *testing.T) {
	frame, _ := AppendFrame(nil, MagicMain, CmdGetAddr, nil)
	if want := "60ab778c" + hex.EncodeToString([]byte("getaddr\x00\x00\x00\x00\x00")) + "00000000" + "5df6e0e2"; hex.EncodeToString(frame) != want {
		t.Errorf("frame %x, want %s", frame, want)
	}
	if _, err := DecodeHead(frame, MagicPolaris); !errors.Is(err, ErrMagic) || wiretest.OffenseOf(err) != "" {
		t.Errorf("another network: %v, want no fault", err)
	}
	if h, err := DecodeHead(append([]byte{0x60, 0xab, 0x77, 0x8c}, "get\x00addr\x00\x00\x00\x00aaaabbbb"...), MagicMain); err == nil {
		t.Errorf("a name with something behind its end is %+v", h)
	}
	odd, err := DecodeHead(append([]byte{0x60, 0xab, 0x77, 0x8c}, "\xff\x1b[31m\n\x00\x00\x00\x00\x00\x01\x00\x00\x00bbbb"...), MagicMain)
	if err != nil || odd.Command != Unknown || strings.ContainsAny(odd.Name, "\x1b\n\ufffd") || !utf8.ValidString(odd.Name) { // Threat M-11
		t.Errorf("an odd name: %+v, %v", odd, err)
	}
}

// Threat M-06: any flipped bit of a payload is seen.
func TestFlippedBitsAreSeen(t *testing.T) {
	payload := []byte("a payload")
	frame, _ := AppendFrame(nil, MagicMain, CmdConsensus, payload)
	h, err := DecodeHead(frame[:HeadSize], MagicMain)
	if err != nil || h.Check(payload) != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(payload) {
		bad := bytes.Clone(payload)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := h.Check(bad); !errors.Is(err, ErrChecksum) || wiretest.OffenseOf(err) != peer.BadFrame {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func TestPaddedVaruintsAreForOldPeersOnly(t *testing.T) {
	tx := sampleTx(1)
	padded := bytes.Replace(tx.Raw, []byte{3, 0, 1, 2}, []byte{0xfd, 3, 0, 0, 1, 2}, 1)
	if _, err := DecodeTx(padded, Strict); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("strict: %v", err)
	}
	got, err := DecodeTx(padded, Lenient)
	if err != nil || got.Hash != tx.Hash || !bytes.Equal(got.Raw, tx.Raw) {
		t.Errorf("lenient: %v; it is to be the same transaction, written anew", err)
	}
	b := sampleBlock()
	wide := append(append(bytes.Clone(b.Header.Raw), 1, 0, 0, 0), padded...)
	old, err := DecodeBlock(wide, Lenient)
	if err != nil || !bytes.Equal(old.Body, append([]byte{1, 0, 0, 0}, tx.Raw...)) {
		t.Errorf("a block with it: %v", err)
	}
}

func TestOldPeersVersionsHaveNoSoftVersion(t *testing.T) {
	v := Version{Time: 5, Nonce: 9}
	b := v.Append(nil)
	if len(b) != 76 {
		t.Errorf("a version of v1.0.0 has %d bytes, want 76", len(b))
	}
	for _, tail := range []string{"", "\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x09short"} {
		if got, err := DecodeVersion(append(bytes.Clone(b), tail...)); err != nil || got != v {
			t.Errorf("followed by %q: %+v, %v", tail, got, err)
		}
	}
	got, err := DecodeVersion(append(bytes.Clone(b), "\x04v2\n\xff..."...))
	if err != nil || got.Soft != "v2??" { // Threat M-11
		t.Errorf("a soft version with control bytes: %q, %v", got.Soft, err)
	}
}

func TestSoftVersionsGate(t *testing.T) {
	for _, tt := range []struct {
		soft               string
		dialect            Dialect
		kad, finds, second bool
	}{
		{"", Lenient, false, false, true},
		{"nonsense", Lenient, false, false, true},
		{"v1.5.9", Lenient, false, false, true},
		{"v1.6.0", Strict, false, false, true},
		{"v1.7.0", Strict, false, false, false},
		{"v1.9.1-alpha", Strict, false, false, false},
		{"v1.9.1-beta", Strict, true, false, false},
		{"1.9.1", Strict, true, false, false},
		{"v1.10", Strict, true, true, false},
		{"v2.0.0-alpha", Strict, true, true, false},
		{"v2.5.9", Strict, true, true, false},
		{"v2.5.9+meta", Strict, true, true, false},
		{"v99999999999.1", Lenient, false, false, true},
	} {
		s := ParseSoft(tt.soft)
		if s.Dialect() != tt.dialect || s.Kad() != tt.kad || s.Finds() != tt.finds || s.DualPort() != tt.second {
			t.Errorf("%q: %v %v %v %v", tt.soft, s.Dialect(), s.Kad(), s.Finds(), s.DualPort())
		}
	}
}

func TestTrailersArePassedOn(t *testing.T) {
	b := sampleBlock()
	cross := append(bytes.Repeat([]byte{7}, 32), 1, 0, 9, 0, 0, 0)
	cross = append(cross, make([]byte, 32)...)
	cross = append(cross, 1, 2, 0xaa, 0xbb)
	for _, trailer := range [][]byte{nil, b.Trailer, cross} {
		b.Trailer = trailer
		for _, d := range []Dialect{Strict, Lenient} {
			got, err := DecodeBlock(b.Append(nil), d)
			if err != nil || !bytes.Equal(got.Trailer, trailer) {
				t.Errorf("trailer %x became %x, %v", trailer, got.Trailer, err)
			}
		}
	}
	b.Trailer = []byte{1, 2, 3}
	if _, err := DecodeBlock(b.Append(nil), Strict); wiretest.OffenseOf(err) != peer.BadEncoding {
		t.Errorf("a broken trailer: %v", err)
	}
	if got, err := DecodeBlock(b.Append(nil), Lenient); err != nil || len(got.Trailer) > 0 {
		t.Errorf("padding of an old peer: %x, %v", got.Trailer, err)
	}
}

// CVE-2012-2459: two lists of transactions can have one root; the one with
// duplicates is refused.
func TestDuplicateTransactionsAreRefused(t *testing.T) {
	a, b, c := sampleTx(1), sampleTx(2), sampleTx(3)
	h := Header{TxRoot: TxRoot([]Hash{a.Hash, b.Hash, c.Hash})}
	if err := CheckBody(h, []Tx{a, b, c}); err != nil {
		t.Error(err)
	}
	if TxRoot([]Hash{a.Hash, b.Hash, c.Hash, c.Hash}) != h.TxRoot {
		t.Fatal("the roots differ: the attack is gone, or the tree is wrong")
	}
	for _, txs := range [][]Tx{{a, b, c, c}, {a, b}, {b, a, c}, nil} {
		if CheckBody(h, txs) == nil {
			t.Errorf("%d other transactions pass", len(txs))
		}
	}
	if TxRoot(nil) != (Hash{}) || TxRoot([]Hash{a.Hash}) != a.Hash {
		t.Error("none is not the zero hash, or one not itself")
	}
}

// treeRoot is RFC 6962's tree over leaves that are hashed already.
func treeRoot(leaves []Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	l, r := treeRoot(leaves[:k]), treeRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func TestBlockTreeIsThatOfAllRoots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree BlockTree
		var leaves []Hash
		for i := range rapid.IntRange(1, 70).Draw(t, "blocks") {
			leaf := Hash{byte(i), byte(rapid.IntRange(0, 255).Draw(t, "leaf"))}
			leaves = append(leaves, leaf)
			if tree.RootWith(leaf) != treeRoot(leaves) {
				t.Fatalf("root of %d blocks", len(leaves))
			}
			old := tree.Append(nil)
			next := tree.With(leaf)
			if !bytes.Equal(tree.Append(nil), old) {
				t.Fatal("With changed the tree before")
			}
			back, err := DecodeBlockTree(next.Append(nil))
			if err != nil || !bytes.Equal(back.Append(nil), next.Append(nil)) {
				t.Fatalf("storage: %v", err)
			}
			tree = next
		}
	})
	for _, b := range [][]byte{nil, {0, 0, 0, 1}, make([]byte, 36)} {
		if _, err := DecodeBlockTree(b); err == nil {
			t.Errorf("%x is a tree", b)
		}
	}
}

func TestAddressesSurviveTheirText(t *testing.T) {
	for _, s := range []string{"AXmQDzzvpEtPkNwBEFsREzApTTDZFW6frD", "AZavFr7sQ4em2NmqWDjLMY34tHMQzATWgx"} {
		a, err := ParseAddress(s)
		if err != nil || a.String() != s {
			t.Errorf("%s became %s, %v", s, a, err)
		}
	}
	key, _ := hex.DecodeString("037c9e6c6a446b6b296f89b722cbf686b81e0a122444ef05f0f87096777663284b")
	if got := AddressOfKey(key).String(); got != "AXmQDzzvpEtPkNwBEFsREzApTTDZFW6frD" { // Polaris, first peer
		t.Errorf("address of a key is %s", got)
	}
	for _, s := range []string{"", "AXmQDzzvpEtPkNwBEFsREzApTTDZFW6frE", "AXmQDzzvpEtPkNwBEFsREzApTTDZFW6fr0", strings.Repeat("z", 34), strings.Repeat("1", 34)} {
		if a, err := ParseAddress(s); err == nil {
			t.Errorf("%q is %s", s, a)
		}
	}
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, Key) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(elliptic.MarshalCompressed(elliptic.P256(), k.X, k.Y))
	if err != nil {
		t.Fatal(err)
	}
	return k, key
}

func TestSignaturesAreChecked(t *testing.T) {
	k, key := newKey(t)
	msg := []byte("a message")
	sum := sha256.Sum256(msg)
	r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	if !key.Verify(msg, sig) || key.Verify([]byte("another"), sig) || key.Verify(msg, make([]byte, 64)) || key.Verify(msg, nil) || key.Verify(msg, sig[:63]) {
		t.Error("P-256")
	}
	if !key.Verify(msg, append([]byte{1, 0}, append(append(make([]byte, 7), sig[:32]...), append(make([]byte, 8), sig[32:]...)...)...)) {
		t.Error("longer numbers with the scheme before them")
	}
	pub, priv, _ := ed25519.GenerateKey(rand.Reader)
	ed, err := ParseKey(append([]byte{keyEdDSA, curveEd25519}, pub...))
	if err != nil {
		t.Fatal(err)
	}
	if edSig := append([]byte{schemeEdDSA}, ed25519.Sign(priv, msg)...); !ed.Verify(msg, edSig) || ed.Verify(msg, sig) || key.Verify(msg, edSig) {
		t.Error("Ed25519")
	}
	c := Consensus{Height: 3, Data: []byte{1}, Owner: key.Bytes()}
	sum = sha256.Sum256(c.AppendUnsigned(nil))
	r, s, _ = ecdsa.Sign(rand.Reader, k, sum[:])
	c.Sig = make([]byte, 64)
	r.FillBytes(c.Sig[:32])
	s.FillBytes(c.Sig[32:])
	if err := c.Verify(); err != nil {
		t.Error(err)
	}
	if c.Height++; !errors.Is(c.Verify(), ErrForged) {
		t.Error("a changed consensus message passes")
	}
}

// Threat H-03: keys off their curve, of zero or out of the field are refused.
func TestBadKeysAreRefused(t *testing.T) {
	k, key := newKey(t)
	p := elliptic.P256().Params().P
	whole := elliptic.Marshal(elliptic.P256(), k.X, k.Y) //lint:ignore SA1019 to make bad ones of
	off := bytes.Clone(whole)
	off[64] ^= 1
	outside := append([]byte{2}, p.Bytes()...)
	for name, b := range map[string][]byte{
		"empty": nil, "short": {2, 1, 2}, "off": off, "zero": make([]byte, 65), "zero point": append([]byte{4}, make([]byte, 64)...),
		"outside the field": outside, "infinity": {0}, "long": append(key.Bytes(), 0), "huge": make([]byte, 4096),
		"no curve": append([]byte{keyECDSA, 99}, key.Bytes()...), "ed of 31": append([]byte{keyEdDSA, curveEd25519}, make([]byte, 31)...),
		"secp zero": append([]byte{keyECDSA, curveSecp, 2}, make([]byte, 32)...), "eth": append([]byte{keyEth, 4}, make([]byte, 64)...),
		"sm2": append([]byte{keySM2, 20}, key.Bytes()...),
	} {
		if _, err := ParseKey(b); err == nil {
			t.Errorf("%s is a key", name)
		}
	}
	if again, err := ParseKey(whole); err != nil || compareKeys(again, key) != 0 {
		t.Errorf("a whole point: %v", err)
	}
}

func TestBookkeepersAddressMindsNoOrder(t *testing.T) {
	var keys []Key
	for range 4 {
		_, k := newKey(t)
		keys = append(keys, k)
	}
	a, err := AddressOfBookkeepers(keys)
	if err != nil {
		t.Fatal(err)
	}
	keys[0], keys[3] = keys[3], keys[0]
	if b, _ := AddressOfBookkeepers(keys); a != b {
		t.Error("the order of keys matters")
	}
	if b, _ := AddressOfKeys(keys, 4); a == b {
		t.Error("the number of signatures does not matter")
	}
	if _, err := AddressOfKeys(nil, 0); err == nil {
		t.Error("no keys make an address")
	}
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 7: 5, 10: 7} {
		if got := Quorum(n); got != want {
			t.Errorf("Quorum(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestNodeKeysNeedTheirWork(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := NewKadKey(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("NewKadKey = %v", err)
	}
	priv, _ := hex.DecodeString("47e39f9a74273279fc8c586d7d2b369aae0bd831e79550149d2f6c9e785d0e1c") // found by NewKadKey
	pub, err := KadKeyOf(priv)
	if err != nil {
		t.Fatal(err)
	}
	u, err := DecodeUpdateKadID(UpdateKadID{Key: pub}.Append(nil))
	if err != nil || u.ID != PeerID(AddressOfKey(pub)) {
		t.Errorf("UpdateKadID: %v", err)
	}
	_, lazy := newKey(t)
	if _, err := DecodeUpdateKadID(UpdateKadID{Key: lazy.Bytes()}.Append(nil)); !errors.Is(err, ErrNoWork) {
		t.Errorf("a key without work: %v", err)
	}
	want := new(big.Int).Mod(new(big.Int).SetBytes(u.ID[:]), new(big.Int).SetUint64(1<<64-1)).Uint64()
	if u.ID.Nonce() != want {
		t.Error("nonce of an identity")
	}
	if PseudoID(0x0102).String() != "0201"+strings.Repeat("00", 18) {
		t.Errorf("pseudo identity %s", PseudoID(0x0102))
	}
}
