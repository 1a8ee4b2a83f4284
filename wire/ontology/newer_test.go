package ontology

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/sim/bed"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/ontology/codec"
	"github.com/starlingp2p/starling/wire/wiretest"
)

// newest is a peer of the newest release, written from the protocol's
// description and not with this module's codec: that both sides understand each
// other says that they conform to one reading of it.
type newest struct {
	net.Conn
	t *testing.T
}

// put sends a frame.
func (p *newest) put(cmd string, parts ...[]byte) {
	body := bytes.Join(parts, nil)
	sum := sha256.Sum256(body)
	sum = sha256.Sum256(sum[:])
	b := binary.LittleEndian.AppendUint32(nil, 299)
	b = append(b, cmd...)
	b = append(b, make([]byte, 16-len(b))...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	p.Write(append(append(b, sum[:4]...), body...))
}

// get reads until a frame of that command comes.
func (p *newest) get(cmd string) []byte {
	p.t.Helper()
	for {
		head := make([]byte, 24)
		if _, err := io.ReadFull(p, head); err != nil {
			p.t.Fatalf("the link ended before %s came: %v", cmd, err)
		}
		body := make([]byte, binary.LittleEndian.Uint32(head[16:]))
		if _, err := io.ReadFull(p, body); err != nil {
			p.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		sum = sha256.Sum256(sum[:])
		if !bytes.Equal(sum[:4], head[20:]) || binary.LittleEndian.Uint32(head) != 299 {
			p.t.Fatalf("frame % x", head)
		}
		if string(bytes.TrimRight(head[4:16], "\x00")) == cmd {
			return body
		}
	}
}

// version is its version message, with a SoftVersion.
func version(nonce uint64, soft string) []byte {
	le := binary.LittleEndian
	b := le.AppendUint64(le.AppendUint32(nil, 0), 2)
	b = le.AppendUint64(b, uint64(time.Now().UnixNano()))
	b = le.AppendUint16(le.AppendUint16(le.AppendUint16(b, 20338), 0), 0)
	b = append(b, make([]byte, 32)...)
	b = le.AppendUint64(le.AppendUint64(b, nonce), 0)
	b = append(b, 1, 0, byte(len(soft)))
	return append(b, soft...)
}

// text is a string, or bytes, behind its length.
func text[T string | []byte](s T) []byte { return append([]byte{byte(len(s))}, s...) }

// shaken is a peer with our session: its key is ours, which nobody minds, since
// its owner never has to show that it is his.
func shaken(t *testing.T, n *bed.Net, key []byte) *newest {
	t.Helper()
	c, err := n.Host(ipOf(9)).Dial(t.Context(), "tcp", portOf(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p := &newest{c, t}
	p.put("version", version(42, "v2.5.9"))
	if v := p.get("version"); len(v) != 76+1+len(DefaultSoft) || string(v[77:]) != DefaultSoft {
		t.Fatalf("version % x", v)
	}
	p.put("updatekadid", text(key))
	if k := p.get("updatekadid"); !bytes.Equal(k, text(key)) {
		t.Fatalf("updatekadid % x", k)
	}
	p.put("verack", []byte{0})
	if a := p.get("verack"); !bytes.Equal(a, []byte{0}) {
		t.Fatalf("verack % x", a)
	}
	return p
}

// The newest handshake, findnode and the block trailer, against a peer that was
// written from the description.
func TestAPeerOfTheNewestRelease(t *testing.T) {
	public, private := worked(t)
	withTrailer := blockOf(5, bodySize)
	withTrailer.Trailer = append(bytes.Repeat([]byte{7}, 32), 0)
	inBed(t, func(t *testing.T, n *bed.Net) {
		h := &wiretest.Host{OnServe: bulk(withTrailer.Chain())}
		a := start(t, n, 1, h, func(c *Config) { c.NodeKey, c.StateRoots = private, true })
		p := shaken(t, n, public)
		self := p.get("findnode") // our own identity is looked for first
		id, err := codec.KadIDOf(public)
		if err != nil || !bytes.Equal(self, id[:]) {
			t.Fatalf("findnode % x, %v", self, err)
		}
		other := bytes.Repeat([]byte{3}, 20)
		p.put("findnodeack", self, []byte{0}, text(""), []byte{1, 0, 0, 0}, other, text("203.0.113.30:20338"))
		until(t, a.host, "an address", func() bool {
			all := wiretest.Reports[wire.Found](a.host)
			return len(all) == 1 && all[0].Peers[0].Addrs[0].Text == "203.0.113.30:20338"
		})
		p.put("findnode", other)
		if got := p.get("findnodeack"); !bytes.Equal(got, append(append([]byte(nil), other...), 0, 0, 0, 0, 0, 0)) {
			t.Errorf("findnodeack % x", got)
		}
		p.put("getdata", []byte{2}, withTrailer.Header.Hash[:])
		if got := p.get("block"); !bytes.HasSuffix(got, withTrailer.Trailer) {
			t.Errorf("the block ends with % x", got[len(got)-40:])
		}
		// Blocks that it sends keep what travels behind them.
		s := a.host.Sessions()[0]
		given := blockOf(6, bodySize)
		given.Trailer = withTrailer.Trailer
		got := make(chan wire.Response, 1)
		go func() {
			r, err := s.Request(t.Context(), wire.GetBlocksByHash{Hashes: []chain.Hash{given.Ref().Hash}})
			if err != nil {
				t.Error(err)
			}
			got <- r
		}()
		if g := p.get("getdata"); !bytes.Equal(g, append([]byte{2}, given.Header.Hash[:]...)) {
			t.Errorf("getdata % x", g)
		}
		p.put("block", given.Header.Raw, given.Body, given.Trailer)
		if bs, ok := (<-got).(wire.Blocks); !ok || !bytes.Equal(bs.Blocks[0].Extra, given.Trailer) {
			t.Errorf("%+v", bs)
		}
		// What no release knows is read past, and strict forms are demanded: a
		// padded varuint ends the session.
		p.put("brandnew", []byte("what is that"))
		p.put("ping", make([]byte, 8))
		p.get("pong")
		p.put("updatekadid", []byte{0xfd, 33, 0}, public)
		p.put("findnodeack", other, []byte{2}, text(""), make([]byte, 4)) // a bool is 0 or 1
		until(t, a.host, "the end", func() bool { return len(wiretest.Reports[wire.Closed](a.host)) == 1 })
	})
}

// We dial it: V> <V K> <K A> <A. Where it is older there is no K.
func TestWeDialTheNewestRelease(t *testing.T) {
	public, private := worked(t)
	for soft, kad := range map[string]bool{"v2.5.9": true, "1.9.1-beta": true, "v1.9.0": false, "": false, "nonsense": false} {
		inBed(t, func(t *testing.T, n *bed.Net) {
			a := start(t, n, 1, nil, func(c *Config) { c.NodeKey = private })
			l, err := n.Host(ipOf(9)).Listen(t.Context(), "tcp", portOf(9))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan error, 1)
			at, _ := a.ParseAddr(portOf(9))
			go func() { done <- a.Dial(t.Context(), at) }()
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			p := &newest{c, t}
			p.get("version")
			v := version(42, soft)
			if soft == "" {
				v = v[:76]
			}
			p.put("version", v)
			if kad {
				if k := p.get("updatekadid"); !bytes.Equal(k, text(public)) {
					t.Errorf("%q: updatekadid % x", soft, k)
				}
				p.put("updatekadid", text(public))
			}
			p.get("verack")
			p.put("verack", []byte{0})
			if err := <-done; err != nil {
				t.Errorf("%q: Dial = %v", soft, err)
			}
			if soft == "v2.5.9" { // findnode came with v1.10.0
				p.get("findnode")
			} else {
				p.get("getaddr")
			}
		})
	}
}

// A question for members that is signed, fresh and meant for us gets an empty
// answer, one at a time; others get none, and cost nobody anything.
func TestMembersAreAskedFor(t *testing.T) {
	public, private := worked(t)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), private)
	if err != nil {
		t.Fatal(err)
	}
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.NodeKey = private })
		p := shaken(t, n, public)
		id, _ := codec.KadIDOf(public)
		ask := func(at time.Time, to []byte, spoil byte) {
			b := append(append([]byte(nil), id[:]...), to...)
			b = binary.LittleEndian.AppendUint32(b, uint32(at.Unix()))
			sum := sha256.Sum256(b)
			r, s, err := ecdsa.Sign(zero{}, key, sum[:])
			if err != nil {
				t.Fatal(err)
			}
			sig := make([]byte, 64)
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
			sig[5] ^= spoil
			p.put("getmembers", b, text(public), text(sig))
		}
		now := time.Now()
		ask(now.Add(-2*time.Hour), id[:], 0)
		ask(now, bytes.Repeat([]byte{1}, 20), 0)
		p.put("getmembers", id[:], id[:], make([]byte, 4)) // of a seed, or so it says
		ask(now, id[:], 0)
		if got := p.get("members"); !bytes.Equal(got, make([]byte, 4)) {
			t.Errorf("members % x", got)
		}
		ask(now, id[:], 0) // too soon
		time.Sleep(tellEvery)
		ask(now, id[:], 1) // forged
		p.put("offline", make([]byte, 12), text(""), text(""), make([]byte, 4))
		for range 3 {
			p.put("ping", make([]byte, 8))
			head := make([]byte, 24)
			for string(bytes.TrimRight(head[4:16], "\x00")) != "pong" {
				if _, err := io.ReadFull(p, head); err != nil {
					t.Fatal(err)
				}
				if string(bytes.TrimRight(head[4:16], "\x00")) == "members" {
					t.Fatal("it was answered again")
				}
				io.CopyN(io.Discard, p, int64(binary.LittleEndian.Uint32(head[16:])))
			}
		}
		if all := wiretest.Reports[wire.Offended](a.host); len(all) > 0 {
			t.Errorf("charged: %+v", all)
		}
		p.put("members", make([]byte, 4)) // an answer to nothing
		until(t, a.host, "a charge", func() bool {
			all := wiretest.Reports[wire.Offended](a.host)
			return len(all) == 1 && all[0].Offense == peer.Unasked
		})
	})
}

// zero is a source of nothing: signatures need none to be right.
type zero struct{}

func (zero) Read(b []byte) (int, error) { return len(b), nil }

// Discovery looks for our own identity and for one in each bucket in turn, and
// asks those who are closest.
func TestBucketsAreRefreshed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var self codec.PeerID
	for i := range self {
		self[i] = byte(i * 37)
	}
	for bucket := range 160 {
		if got := bucketOf(self, inBucket(self, bucket, r)); got != bucket {
			t.Fatalf("an identity for bucket %d is in %d", bucket, got)
		}
	}
	if bucketOf(self, self) != 160 {
		t.Error("we are not in our own bucket")
	}
	peers := []codec.PeerID{inBucket(self, 0, r), inBucket(self, 3, r)}
	seen := map[int]int{}
	for round := range 12 {
		seen[bucketOf(self, lookFor(self, peers, round, r))]++
	}
	for _, bucket := range []int{160, 0, 1, 2, 3} { // twelve rounds of five
		if seen[bucket] < 2 {
			t.Errorf("bucket %d was refreshed %d times: %v", bucket, seen[bucket], seen)
		}
	}
	if len(seen) != 5 {
		t.Errorf("buckets %v", seen)
	}
	_, private := worked(t)
	public, _ := codec.KadKeyOf(private)
	inBed(t, func(t *testing.T, n *bed.Net) {
		a := start(t, n, 1, nil, func(c *Config) { c.NodeKey = private })
		p := shaken(t, n, public)
		own := p.get("findnode")
		if err := a.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.get("findnode"); !bytes.Equal(got, own) {
			t.Errorf("the first round looks for % x", got)
		}
		if err := a.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.get("findnode"); bytes.Equal(got, own) {
			t.Error("the second round looks for ourselves again")
		}
	})
}
