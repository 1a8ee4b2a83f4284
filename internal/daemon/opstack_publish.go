package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/internal/rpc"
	"github.com/starlingp2p/starling/wire/opstack/codec"
	"github.com/starlingp2p/starling/wire/opstack/codec/rules"
)

// opReceiptTime is how long opstack_publishBlockV1 waits for the receipt: with
// peers there, it comes at once. The block stays queued after that.
const opReceiptTime = 2 * time.Second

// OPPublished answers opstack_publishBlockV1. Clients of op-node's look at the
// error only.
type OPPublished struct {
	MeshPeers int  `json:"mesh_peers"`
	Queued    int  `json:"queued"`  // copies
	Dropped   int  `json:"dropped"` // copies
	Held      bool `json:"held"`    // until somebody is there to hear it, or it is too old
}

// opPayloads takes payloads that others made.
type opPayloads struct {
	node  *Node
	rules *rules.Rules
}

func (o *opPayloads) methods() []starling.Method {
	envelope := map[string]any{}
	return []starling.Method{
		write("opstack_publishBlockV1", "Imports a block that somebody else made and the sequencer signed, and gossips it.", o.publish, OPPublished{},
			param("signed", `{"envelope": the payload's envelope, "signature": in hex}, as op-node has them`, envelope)),
		write("admin_postUnsafePayload", "Takes in a block that the caller vouches for, without a signature, and tells nobody.", o.post, nil,
			param("envelope", "the payload's envelope, as op-node has it", envelope)),
	}
}

func (o *opPayloads) publish(ctx context.Context, params json.RawMessage) (any, error) {
	var in codec.Signed
	if err := rpc.Params(params, &in); err != nil {
		return nil, err
	}
	if in.Envelope == nil || len(in.Signature) != codec.SignatureSize {
		return nil, rpc.BadParams("want an envelope and a signature of %d bytes", codec.SignatureSize)
	}
	b, err := o.block(in.Envelope, in.Signature)
	if err != nil {
		return nil, err
	}
	if why := o.rules.Authentic(b); why != nil {
		return nil, fmt.Errorf("block %v: %s: %s", b.Ref(), why.Name, why.Why)
	}
	ctx, cancel := context.WithTimeout(ctx, opReceiptTime)
	defer cancel()
	r, err := o.node.node.Client().PublishBlock(ctx, b)
	if errors.Is(err, context.DeadlineExceeded) {
		return OPPublished{Held: true}, nil
	}
	return OPPublished{MeshPeers: r.MeshPeers, Queued: r.Queued, Dropped: r.Dropped}, err
}

func (o *opPayloads) post(ctx context.Context, params json.RawMessage) (any, error) {
	var e *codec.Envelope
	if err := rpc.Params(params, &e); err != nil {
		return nil, err
	}
	if e == nil {
		return nil, rpc.BadParams("want an envelope")
	}
	b, err := o.block(e, nil)
	if err != nil {
		return nil, err
	}
	return nil, o.node.node.Client().TrustBlock(ctx, b)
}

// block is the block of an envelope, if it is one of the chain's by its form.
func (o *opPayloads) block(e *codec.Envelope, sig []byte) (chain.Block, error) {
	if v := o.rules.Config().VersionAt(e.Time); v != e.Version {
		return chain.Block{}, fmt.Errorf("payload %d is a %v, and at its time a %v is due", e.Number, e.Version, v)
	}
	b, err := e.Block(sig)
	if err != nil {
		return chain.Block{}, err
	}
	if got := codec.HeaderHash(b.Header.Bytes); got != e.BlockHash { // in op-node's words
		return chain.Block{}, fmt.Errorf("payload has bad block hash: %v, actual block hash is: %v", e.BlockHash, got)
	}
	return b, nil
}
