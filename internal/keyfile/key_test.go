package keyfile

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The test vectors of the Web3 Secret Storage Definition (ethereum.org, "Test
// Vectors"), password "testpassword".
const (
	pbkdf2Vector = `{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}`
	scryptVector = `{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},"ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt","kdfparams":{"dklen":32,"n":262144,"p":8,"r":1,"salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},"mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}`
	vectorSecret = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"
)

func TestKeystoresOfOthersAreRead(t *testing.T) {
	for name, text := range map[string]string{"pbkdf2": pbkdf2Vector, "scrypt": scryptVector} {
		k, form, err := Decode([]byte(text), "", []byte("testpassword"))
		if err != nil || form != Keystore || k.Secret() != vectorSecret {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Decode([]byte(pbkdf2Vector), "", []byte("wrong")); !errors.Is(err, errPassword) {
		t.Errorf("a wrong password gives %v", err)
	}
	if _, _, err := Decode([]byte(pbkdf2Vector), "", nil); err == nil || !strings.Contains(err.Error(), "--password-file") {
		t.Errorf("no password gives %v", err)
	}
}

func TestEveryFormIsReadAsItWasWritten(t *testing.T) {
	for _, kind := range []string{Ed25519, Secp256k1} {
		k, err := New(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{Hex, Libp2p} {
			raw, err := k.Encode(form, nil)
			if err != nil {
				t.Fatal(err)
			}
			again, as, err := Decode(raw, kind, nil)
			if err != nil || as != form || again.Secret() != k.Secret() || again.PeerID() != k.PeerID() || again.Kind() != kind || again.Fingerprint() != k.Fingerprint() {
				t.Errorf("%s as %s was read as %s: %v", kind, form, as, err)
			}
		}
		raw, err := k.Encode(Keystore, []byte("x"))
		if kind == Ed25519 {
			if err == nil {
				t.Error("an ed25519 key went into a keystore")
			}
			continue
		}
		again, _, derr := Decode(raw, "", []byte("x"))
		if err != nil || derr != nil || again.Secret() != k.Secret() {
			t.Errorf("a keystore of ours: %v, %v", err, derr)
		}
	}
}

// A known key has the identities that others give it: the key that geth's own
// tests use has the address 0x71562b71999873DB5b286dF957af199Ec94617F7.
func TestIdentitiesAreThoseOfOthers(t *testing.T) {
	k, _, err := Decode([]byte("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291\n"), Secp256k1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.address(); !bytes.Equal(got, []byte{0x71, 0x56, 0x2b, 0x71, 0x99, 0x98, 0x73, 0xdb, 0x5b, 0x28, 0x6d, 0xf9, 0x57, 0xaf, 0x19, 0x9e, 0xc9, 0x46, 0x17, 0xf7}) {
		t.Errorf("its address is %x", got)
	}
	if len(k.NodeID()) != 128 || !strings.HasPrefix(k.PeerID(), "16Uiu2") || len(k.Public()) != 66 {
		t.Errorf("node %s, peer %s, public %s", k.NodeID(), k.PeerID(), k.Public())
	}
}

func TestHostileKeystoresAreBounded(t *testing.T) {
	for _, change := range [][2]string{
		{`"n":262144`, `"n":1073741824`},
		{`"r":1`, `"r":1000000000`},
		{`"p":8`, `"p":99999999`},
		{`"n":262144`, `"n":-1`},
		{`"n":262144`, `"n":3`},
		{`"dklen":32`, `"dklen":99999999`},
		{`"scrypt"`, `"argon"`},
		{`"version":3`, `"version":4`},
		{`aes-128-ctr`, `rot13`},
		{`83dbcc02`, ``},
		{`d172bf74`, ``},
	} {
		text := strings.Replace(scryptVector, change[0], change[1], 1)
		if _, _, err := Decode([]byte(text), "", []byte("testpassword")); err == nil || errors.Is(err, errPassword) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
}

// FuzzDecode checks that any content gives a key that is written and read
// again, or an error without the content in it.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(vectorSecret))
	f.Add([]byte(strings.Replace(pbkdf2Vector, "262144", "1", 1)))
	f.Add([]byte("{}"))
	f.Add([]byte{8, 1, 18, 64})
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("262144")) || bytes.Contains(in, []byte("scrypt")) {
			return // true keystores are slow on purpose
		}
		k, form, err := Decode(in, Ed25519, nil)
		if err != nil || form == Keystore {
			return
		}
		raw, err := k.Encode(form, nil)
		if err != nil {
			t.Fatal(err)
		}
		if again, _, err := Decode(raw, k.Kind(), nil); err != nil || again.Secret() != k.Secret() {
			t.Fatalf("written and read again: %v", err)
		}
	})
}
