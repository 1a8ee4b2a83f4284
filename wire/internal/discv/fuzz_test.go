package discv

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/p2p/discover/v4wire"
	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/ethereum/go-ethereum/p2p/enr"
	"github.com/ethereum/go-ethereum/rlp"
)

// hostileList is a node list whose root is signed and whose entries are
// somebody's.
type hostileList struct {
	root    string
	entries map[string]string
	asked   int
}

const listName = "nodes.example.org"

// entryName is where an entry is found (EIP-1459).
func entryName(text string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(crypto.Keccak256([]byte(text))[:16])
}

func (l *hostileList) LookupTXT(_ context.Context, domain string) ([]string, error) {
	l.asked++
	if domain == listName {
		return []string{l.root}, nil
	}
	if text, ok := l.entries[domain]; ok {
		return []string{text}, nil
	}
	return nil, errors.New("no such name")
}

// FuzzListEntry reads a node list whose owner, or whoever answers for its name,
// says what the fuzzer makes: two entries, the second of which the first may
// have as its child, and the list of links. A round ends in time, gives no more
// than it may, nothing without an address, and asks DNS at a bounded pace.
func FuzzListEntry(f *testing.F) {
	signer, err := crypto.ToECDSA(crypto.Keccak256([]byte("list")))
	if err != nil {
		f.Fatal(err)
	}
	url := fmt.Sprintf("enrtree://%s@%s", base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(crypto.CompressPubkey(&signer.PublicKey)), listName)
	r := new(enr.Record)
	r.Set(enr.IPv4{203, 0, 113, 1})
	r.Set(enr.TCP(30303))
	if err := enode.SignV4(r, signer); err != nil {
		f.Fatal(err)
	}
	n, err := enode.New(enode.ValidSchemes, r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("enrtree-branch:", n.String(), true)
	f.Add(n.String(), url, false)
	f.Add("enrtree-branch:AAAAAAAAAAAAAAAAAAAA,", "enrtree-branch:", true)
	f.Add("enrtree-branch:", url, true)
	f.Fuzz(func(t *testing.T, first, second string, child bool) {
		if child {
			first += entryName(second)
		}
		synctest.Test(t, func(t *testing.T) {
			list := &hostileList{entries: map[string]string{
				entryName(first) + "." + listName: first, entryName(second) + "." + listName: second,
			}}
			signed := fmt.Sprintf("enrtree-root:v1 e=%s l=%s seq=%d", entryName(first), entryName(second), 1)
			sig, err := crypto.Sign(crypto.Keccak256([]byte(signed)), signer)
			if err != nil {
				t.Fatal(err)
			}
			list.root = signed + " sig=" + base64.RawURLEncoding.EncodeToString(sig)
			l, err := NewLists([]string{url}, list, func(n *enode.Node) bool { return n.IPAddr().IsValid() && n.TCP() != 0 })
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			began := time.Now()
			found := l.Discover(context.Background())
			if took := time.Since(began); took > RoundTime {
				t.Errorf("a round took %v", took)
			}
			if len(found) > RoundFound {
				t.Errorf("%d records were found", len(found))
			}
			for _, n := range found {
				if again, err := enode.Parse(enode.ValidSchemes, n.String()); err != nil || again.ID() != n.ID() || !n.IPAddr().IsValid() {
					t.Errorf("%v was found: %v", n, err)
				}
			}
			synctest.Wait()
			if most := 10 + 3*int(RoundTime/time.Second) + 10; list.asked > most {
				t.Errorf("DNS was asked %d times in a round, at most %d", list.asked, most)
			}
		})
	})
}

// FuzzPacket sends a running node what the fuzzer makes: as it is, and as the
// body of a packet of discv4 that is signed by a peer which has proven its
// address. The node lives on, answers with no more than two packets of
// neighbours for each question, and keeps only nodes that have an address.
func FuzzPacket(f *testing.F) {
	k, err := crypto.ToECDSA(crypto.Keccak256([]byte("node")))
	if err != nil {
		f.Fatal(err)
	}
	p, err := ListenPair(PairConfig{Config: Config{Key: k, Listen: netip.MustParseAddrPort("127.0.0.1:0"), TCP: 30303}})
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	other, err := crypto.ToECDSA(crypto.Keccak256([]byte("stranger")))
	if err != nil {
		f.Fatal(err)
	}
	s := newStranger(f, other, "127.0.0.1", p)
	for range 3 {
		s.upToPong(f, true)
	}
	for kind, m := range map[byte]any{
		v4wire.PingPacket: s.ping(), v4wire.FindnodePacket: &v4wire.Findnode{Expiration: later()}, v4wire.ENRRequestPacket: &v4wire.ENRRequest{Expiration: later()},
		v4wire.PongPacket:        &v4wire.Pong{Expiration: later()},
		v4wire.NeighborsPacket:   &v4wire.Neighbors{Nodes: []v4wire.Node{{IP: []byte{127, 0, 0, 1}, UDP: 30303}}, Expiration: later()},
		v4wire.ENRResponsePacket: &v4wire.ENRResponse{Record: *p.Self().Record()},
	} {
		b, err := rlp.EncodeToBytes(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(kind, b)
	}
	f.Add(byte(0), make([]byte, 63))
	f.Add(byte(99), []byte("discv5"))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		if len(body) > 1200 {
			return
		}
		if kind == 0 {
			s.send(t, body)
		} else {
			s.send(t, s.signed(kind, body))
		}
		got := s.upToPong(t, true)
		if most := 8 << 10; got.bytes > most {
			t.Errorf("it was answered with %d bytes, at most %d", got.bytes, most)
		}
		for _, n := range p.v5.Table() {
			if !n.IPAddr().IsValid() {
				t.Errorf("the table has %v", n)
			}
		}
	})
}
