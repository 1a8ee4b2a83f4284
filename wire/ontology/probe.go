package ontology

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/env"
	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
	"github.com/starlingp2p/starling/wire/internal/stranger"
	"github.com/starlingp2p/starling/wire/ontology/codec"
)

// NetworkName names a network by what its frames begin with: the public ones by
// their names, others by the number.
func NetworkName(magic uint32) string {
	switch magic {
	case codec.MagicMain:
		return "main"
	case codec.MagicPolaris:
		return "polaris"
	}
	return fmt.Sprint(magic)
}

// magicSolo is that of a node in test mode (v1.0.0, config.NETWORK_ID_SOLO_NET).
const magicSolo = 3

// pongHeight is what the height in a pong may take to be heard of after it.
const pongHeight = time.Second

// Probe finds out what a stranger's node at HOST:PORT is, with a nonce that is
// thrown away afterwards. No node of this wire says anything to who does not
// name its network first: magic is that, or 0 to try the public networks and a
// node in test mode, one after the other. The error is for an address that is
// none, and for a peer that could not be reached; whatever else is refused is a
// step. It blocks until ctx ends.
func Probe(ctx context.Context, address string, magic uint32) (out wire.Probed, err error) {
	return probe(ctx, address, magic, nil)
}

func probe(ctx context.Context, address string, magic uint32, network env.Network) (out wire.Probed, err error) {
	addr, err := new(Wire).ParseAddr(address)
	if err != nil {
		return out, err
	}
	out.Peer.Addr = addr
	magics := []uint32{magic}
	if magic == 0 {
		magics = []uint32{codec.MagicMain, codec.MagicPolaris, magicSolo}
	}
	for _, magic := range magics {
		met, err := meet(ctx, &out, addr, Config{Magic: magic, Network: network})
		if met || err != nil {
			return out, err
		}
	}
	return out, nil
}

// meet asks for a session on one network. It reports whether there was one;
// the error is for a peer that was not reached.
func meet(ctx context.Context, out *wire.Probed, addr peer.Addr, cfg Config) (met bool, err error) {
	cfg.Status = func() chain.Status { return chain.Status{} }
	w, err := New(cfg)
	if err != nil {
		return false, err
	}
	guest, err := stranger.Enter(ctx, w)
	if err != nil {
		return false, err
	}
	defer guest.Leave()
	network := NetworkName(cfg.Magic)
	var s wire.Session
	err = out.Ask("session on network "+network, func() (err error) { s, err = guest.Dial(ctx, addr); return err })
	if err != nil {
		var refused *peer.RefusedError
		if errors.As(err, &refused) && (refused.Reason == peer.DialFailed || refused.Reason == peer.DialTimeout) {
			return false, err
		}
		return false, nil
	}
	defer stranger.Part(s)
	out.Peer = s.Peer()
	out.Ask("ping", func() error {
		ctx, cancel := context.WithTimeout(ctx, shakeTime)
		defer cancel()
		var err error
		out.RTT, err = stranger.Ping(ctx, s)
		if c, _, _ := guest.Claims(); err == nil && c.Head.Number == 0 {
			// Newer releases tell their height no earlier than with the pong; a
			// node at genesis never tells another.
			ctx, cancel := context.WithTimeout(ctx, pongHeight)
			defer cancel()
			guest.Claimed(ctx)
		}
		return err
	})
	claims, skew, timed := guest.Claims()
	out.Claims = claims
	out.Claims.Network = network
	if timed {
		out.Time = time.Now().Add(skew)
	}
	return true, nil
}
