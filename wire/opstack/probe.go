package opstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/p2p/enode"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/p2phost"
	"github.com/starlingp2p/starling/wire/internal/stranger"
	"github.com/starlingp2p/starling/wire/opstack/codec"
)

// Probe finds out what a stranger's node is, with an identity that is thrown
// away afterwards: identify tells what it speaks and of which chain, and it is
// asked for a few blocks by number. No node of this wire tells where its head
// is but by gossip, so the head is the newest block that it gives of those that
// should be there, by the time of the first two. The address is a multiaddr, a
// node record, or HOST:PORT of a TCP port, of which the identity is found out.
// The error is for an address that is none, and for a peer that could not be
// reached; whatever else is refused is a step. It blocks until ctx ends.
func Probe(ctx context.Context, address, agent string) (wire.Probed, error) {
	p := new(prober)
	err := p.run(ctx, address, agent, nil)
	return p.out, err
}

// Find gives the multiaddr behind a node record or HOST:PORT, a TCP port: for
// that, whoever listens there is asked who it is. It blocks until ctx ends.
func Find(ctx context.Context, address, agent string) (peer.Addr, error) {
	if isRecord(address) {
		return ParseRecord(address)
	}
	host, err := newStranger(agent, nil)
	if err != nil {
		return peer.Addr{}, err
	}
	defer host.Close()
	return host.Find(ctx, address)
}

func isRecord(s string) bool { return strings.HasPrefix(s, "enr:") }

// Marks reports whether a text is the node record of an OP Stack node, or the
// name of a protocol that only such nodes speak.
func Marks(text string) bool {
	if _, ok := codec.ProtocolChain(text); ok {
		return true
	}
	_, err := ParseRecord(text)
	return err == nil
}

// ParseRecord is the address in a node record of an OP Stack node.
func ParseRecord(text string) (peer.Addr, error) {
	r, err := enode.Parse(enode.ValidSchemes, text)
	if err != nil {
		return peer.Addr{}, fmt.Errorf("opstack: record %.80q: %w", text, err)
	}
	var e codec.ENREntry
	if err := r.Record().Load(&e); err != nil {
		return peer.Addr{}, fmt.Errorf("opstack: record %.80q has no opstack entry: it is of another network's node", text)
	}
	f, err := foundPeer(r)
	if err != nil {
		return peer.Addr{}, err
	}
	return f.Addrs[0], nil
}

// newStranger makes a host with an identity of its own, which lets everybody be.
func newStranger(agent string, opts []libp2p.Option) (*p2phost.Host, error) {
	key, err := p2phost.NewSecp256k1Key()
	if err != nil {
		return nil, fmt.Errorf("opstack: probe: %w", err)
	}
	host, err := p2phost.New(p2phost.Config{
		Key: key, Judge: stranger.Anybody{}, Agent: agent, AllowPrivate: true,
		NoQUIC: true, NoTransports: true, Options: Config{Libp2pOptions: opts}.options(),
	})
	if err != nil {
		return nil, fmt.Errorf("opstack: probe: %w", err)
	}
	return host, nil
}

type prober struct {
	out  wire.Probed
	host *p2phost.Host
	conn network.Conn
}

// run asks for one thing after the other.
func (p *prober) run(ctx context.Context, address, agent string, opts []libp2p.Option) (err error) {
	if p.host, err = newStranger(agent, opts); err != nil {
		return err
	}
	defer p.host.Close()
	var addr peer.Addr
	if isRecord(address) {
		addr, err = ParseRecord(address)
	} else {
		addr, err = p.host.Reach(ctx, address)
	}
	if err != nil {
		return err
	}
	release := func() {}
	defer func() { release() }()
	err = p.out.Ask("connect", func() (err error) {
		p.conn, release, err = p.host.Connect(ctx, addr)
		return err
	})
	if err != nil {
		return err
	}
	identified := p.out.Ask("identify", func() error {
		ctx, cancel := context.WithTimeout(ctx, sessionTime)
		defer cancel()
		return p.host.Identify(ctx, p.conn)
	})
	if identified != nil {
		return nil
	}
	p.out.Peer = p.host.Info(p.conn)
	p.out.Ask("ping", func() (err error) {
		ctx, cancel := context.WithTimeout(ctx, sessionTime)
		defer cancel()
		p.out.RTT, err = p.host.Ping(ctx, p.conn)
		return err
	})
	p.blocks(ctx)
	return nil
}

// blocks asks for the first two blocks, and for one that should be new.
func (p *prober) blocks(ctx context.Context) {
	var first, second chain.Block
	err := p.out.Ask("block 1", func() error {
		id, ok := p.chain()
		if !ok {
			return &peer.RefusedError{Reason: peer.NoCommonProto, Detail: "the peer serves no blocks by number of any chain"}
		}
		p.out.Claims.Network = fmt.Sprint(id)
		p.belong(id)
		var err error
		first, err = p.block(ctx, id, 1)
		return err
	})
	if err != nil {
		return
	}
	p.out.Claims.Genesis, p.out.Claims.Head = first.Header.Parent, first.Header.Ref
	p.out.Ask("its newest block", func() (err error) {
		id, _ := p.chain()
		if second, err = p.block(ctx, id, 2); err != nil {
			return err
		}
		p.out.Claims.Head = second.Header.Ref
		between := second.Header.Time.Sub(first.Header.Time)
		if between <= 0 {
			return errors.New("opstack: probe: its second block is not younger than its first")
		}
		due := 1 + uint64(max(time.Since(first.Header.Time), 0)/between)
		for _, back := range behind() {
			if due < back+3 {
				break
			}
			b, berr := p.block(ctx, id, due-back)
			if berr == nil {
				p.out.Claims.Head = b.Header.Ref
				return nil
			}
			err = fmt.Errorf("block %d should be there by now: %w", due-back, berr)
		}
		return err
	})
}

// behind is how many blocks behind what should be there a node is asked for,
// until it has one.
func behind() []uint64 { return []uint64{2, 16, 512, 16384} }

// chain is the one whose blocks the peer serves.
func (p *prober) chain() (id uint64, ok bool) {
	for _, name := range p.out.Peer.Protocols {
		if id, ok := codec.ProtocolChain(name); ok {
			return id, true
		}
	}
	return 0, false
}

// belong makes the prober a member of the peer's chain that has no blocks:
// Starling serves nobody else.
func (p *prober) belong(chainID uint64) {
	for _, name := range codec.Protocols(chainID) {
		p.host.P2P().SetStreamHandler(protocol.ID(name), func(st network.Stream) {
			st.SetDeadline(time.Now().Add(writeTime))
			if _, err := codec.ReadRequest(st); err != nil || codec.WriteRefusal(st, codec.ResultNotFound) != nil {
				st.Reset()
				return
			}
			st.Close()
		})
	}
}

// block asks for one, and checks that it is what it says it is; whose it is
// nobody says.
func (p *prober) block(ctx context.Context, chainID, number uint64) (chain.Block, error) {
	var none chain.Block
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var protos []protocol.ID
	for _, name := range codec.Protocols(chainID) {
		protos = append(protos, protocol.ID(name))
	}
	st, err := p.host.OpenStream(ctx, p.conn, protos...)
	if err != nil {
		return none, err
	}
	defer st.Reset()
	defer context.AfterFunc(ctx, func() { st.Reset() })()
	if _, err := st.Write(codec.AppendRequest(nil, number)); err != nil {
		return none, fmt.Errorf("opstack: send a request: %w", err)
	}
	st.CloseWrite()
	// The layout goes by the time of the block and the chain's forks, which a
	// stranger does not know: both that the answer's version allows are tried.
	raw, err := io.ReadAll(io.LimitReader(st, codec.MaxMessage+1))
	if err != nil {
		return none, fmt.Errorf("opstack: read an answer: %w", err)
	}
	var wrong error
	for _, layout := range [][2]codec.Version{{codec.V1, codec.V3}, {codec.V2, codec.V4}} {
		res, e, err := codec.ReadAnswer(bytes.NewReader(raw), func(enveloped bool) codec.Version {
			if enveloped {
				return layout[1]
			}
			return layout[0]
		})
		switch {
		case err != nil:
			wrong = err
			continue
		case res == codec.ResultNotFound:
			return none, &wire.Refusal{Code: wire.RefusedNotFound}
		case res == codec.ResultInvalid:
			return none, &wire.Refusal{Code: wire.RefusedBadRequest, Text: "the number is before its genesis, or in the future"}
		case res != codec.ResultOK:
			return none, &wire.Refusal{Code: wire.RefusedBusy, Text: fmt.Sprintf("result code %d", res)}
		}
		b, err := e.Block(nil)
		if err == nil && e.Number == number && codec.HeaderHash(b.Header.Bytes) == b.Header.Ref.Hash {
			return b, nil
		}
		wrong = errors.Join(err, fmt.Errorf("opstack: probe: the answer is not block %d with the hash that it claims", number))
	}
	return none, wrong
}
