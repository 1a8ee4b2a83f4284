package rpc

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/starlingp2p/starling"
	"github.com/starlingp2p/starling/internal/meter"
)

// How many messages are worked on at once, of those that come over the unix
// socket and of those that come over TCP, and how many calls that change
// something; and the bytes of requests that are held for them.
const (
	maxCalls       = 32
	maxWrites      = 16
	requestsBudget = 64 << 20
)

// Server answers calls, on any number of listeners. Its methods are set at
// construction, what is mounted before the first listener is served.
type Server struct {
	methods map[string]starling.Method
	feeds   map[string]map[string]Feed // by namespace and name
	log     *slog.Logger
	mux     *http.ServeMux

	local, remote chan struct{} // slots of calls on the unix socket, and over TCP
	writes        chan struct{}
	stays         map[stayKind]chan struct{} // places of connections that stay, on HTTP
	events        *meter.Tally[string]
	remoteSubs    chan struct{} // of subscriptions over TCP
	localBytes    budget
	remoteBytes   budget
}

// New makes a server of methods; two of one name are an error.
func New(methods []starling.Method, log *slog.Logger) (*Server, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		methods: make(map[string]starling.Method, len(methods)), log: log, mux: http.NewServeMux(),
		feeds: map[string]map[string]Feed{}, stays: newStays(), events: newEvents(), remoteSubs: make(chan struct{}, maxRemoteSubs),
		local: make(chan struct{}, maxCalls), remote: make(chan struct{}, maxCalls), writes: make(chan struct{}, maxWrites),
		localBytes: budget{most: requestsBudget}, remoteBytes: budget{most: requestsBudget},
	}
	for _, m := range methods {
		if _, taken := s.methods[m.Name]; taken {
			return nil, fmt.Errorf("rpc: two methods are named %q", m.Name)
		}
		s.methods[m.Name] = m
	}
	s.mux.HandleFunc("/{$}", s.serveRoot)
	return s, nil
}

// AllowRequests bounds one request of those who have all authority, in place of
// MaxRequestBytes. It must be called before the first listener is served.
func (s *Server) AllowRequests(bytes int) {
	s.localBytes.each, s.localBytes.most = bytes, max(requestsBudget, 2*int64(bytes))
}

// bytesOf is the budget that a caller's requests are charged to. Those who have
// authority are not in the way of others, nor others in theirs.
func (s *Server) bytesOf(c *caller) *budget {
	if c.class == Admin {
		return &s.localBytes
	}
	return &s.remoteBytes
}
