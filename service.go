package starling

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/peer"
)

// Service is a part that an embedder adds to a node: a block producer, an
// indexer, a bridge. Register takes it before Run.
type Service interface {
	// Kind names the service; it is unique in a node.
	Kind() string
	// Needs lists the kinds of services that are built and started before it.
	Needs() []string
	// Build makes the part. Node.Run calls it once, before anything starts and
	// after what it needs was built. It must not block, and should open nothing:
	// if another service cannot be built or started, a part may never run.
	Build(b *Builder) (Part, error)
}

// Part is a built service.
type Part interface {
	// Run works until ctx ends, and calls ready once when it has started; what
	// needs it starts after that. An error before ready is a failed start, an
	// error after it stops the node; nil means that its work is done. It must
	// return within seconds of the end of ctx.
	Run(ctx context.Context, ready func()) error
}

// Role interfaces of a Part. The node looks for them.
type (
	// Protocoller brings protocols of its own.
	Protocoller interface{ Protocols() []Protocol }
	// Methoder brings RPC methods of its own.
	Methoder interface{ Methods() []Method }
)

// Protocol is a request protocol, or a broadcast topic, that a service brings.
// At least one of the two functions is set. Both run in the node's bounded
// application pool and should return soon after ctx ends.
type Protocol struct {
	// Name tells it from other protocols and topics of the node: 1 to 64 of a-z, 0-9, ".", "_" and "-".
	Name string
	// Request answers a peer.
	Request func(ctx context.Context, from peer.ID, req []byte) ([]byte, error)
	// Broadcast judges a message on the topic of that name; the node joins it.
	Broadcast func(ctx context.Context, from peer.ID, msg []byte) chain.Verdict
}

// Method is one method of the node's JSON-RPC.
type Method struct {
	Name string // "namespace_verb"; no two of a node's services have the same
	// Write marks a method that changes something: it needs authority.
	Write bool
	// Call gets the params as they came, at most 5 MiB, and gives a value for
	// encoding/json. It must return soon after ctx ends.
	Call func(ctx context.Context, params json.RawMessage) (any, error)

	// Doc says in a sentence what the method does, Params what it takes, by
	// position, and Result is a value of the type that it gives: rpc.discover
	// tells them. All may be left out.
	Doc    string
	Params []Param
	Result any
}

// Param is one parameter of a Method.
type Param struct {
	Name string // of letters and digits
	Doc  string
	// Type is a value of the type that it is decoded into; nil: any JSON.
	Type any
	// Optional parameters may be left out; only such ones follow.
	Optional bool
}

// Builder is what a service is built with.
type Builder struct {
	node *Node
	kind string
	need []string
}

// Client is a handle on the node. It may be kept; it works once the node runs.
func (b *Builder) Client() *Client { return b.node.Client() }

// Chain is the chain that the node was made with.
func (b *Builder) Chain() chain.Chain { return b.node.chain }

// Logger writes to the node's log under the service's kind.
func (b *Builder) Logger() *slog.Logger { return b.node.log.With("service", b.kind) }

// Part gives the built part of a service that this one needs; false for any
// other kind.
func (b *Builder) Part(kind string) (Part, bool) {
	if !slices.Contains(b.need, kind) {
		return nil, false
	}
	p, ok := b.node.parts[kind]
	return p, ok
}

// Register adds a service. It fails with a *DuplicateServiceError if the kind
// is taken, and with ErrTooLate once Run was called.
func (n *Node) Register(s Service) error {
	if s == nil || s.Kind() == "" {
		return fmt.Errorf("starling: Register needs a service with a kind, got %T", s)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started {
		return ErrTooLate
	}
	for _, have := range n.services {
		if have.Kind() == s.Kind() {
			return &DuplicateServiceError{Kind: s.Kind()}
		}
	}
	n.services = append(n.services, s)
	return nil
}

// addMethods takes the RPC methods that a part brings.
func (n *Node) addMethods(ms []Method) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range ms {
		if m.Name == "" || m.Call == nil {
			return fmt.Errorf("RPC method %q has no name or no Call", m.Name)
		}
		if slices.ContainsFunc(n.methods, func(have Method) bool { return have.Name == m.Name }) {
			return fmt.Errorf("RPC method %q is another service's, or twice in this one", m.Name)
		}
		n.methods = append(n.methods, m)
	}
	return nil
}

// Methods are the RPC methods that services brought: all of them once Run has
// built the parts, which is before any of them runs.
func (n *Node) Methods() []Method {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.methods)
}

// order sorts services so that each comes after what it needs, and otherwise
// as they were registered.
func order(services []Service) ([]Service, error) {
	byKind := make(map[string]Service, len(services))
	for _, s := range services {
		byKind[s.Kind()] = s
	}
	var (
		sorted []Service
		state  = make(map[string]int, len(services)) // 1: under way, 2: placed
		place  func(s Service) error
	)
	place = func(s Service) error {
		state[s.Kind()] = 1
		for _, need := range s.Needs() {
			dep, ok := byKind[need]
			switch {
			case !ok:
				return &MissingServiceError{Kind: s.Kind(), Needs: need}
			case state[need] == 1:
				return &MissingServiceError{Kind: s.Kind(), Needs: need, Cycle: true}
			case state[need] == 0:
				if err := place(dep); err != nil {
					return err
				}
			}
		}
		state[s.Kind()] = 2
		sorted = append(sorted, s)
		return nil
	}
	for _, s := range services {
		if state[s.Kind()] == 0 {
			if err := place(s); err != nil {
				return nil, err
			}
		}
	}
	return sorted, nil
}
