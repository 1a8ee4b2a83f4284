package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/starlingp2p/starling/internal/bucket"
	"github.com/starlingp2p/starling/internal/jwt"
	"github.com/starlingp2p/starling/internal/pause"
	"github.com/starlingp2p/starling/internal/subnet"
)

// Defaults of TCP.
const (
	DefaultConns = 256
	DefaultRate  = 200 // calls a second of one client

	connectRate = 200                    // new connections a second; more wait in the system's queue
	tarryFor    = 250 * time.Millisecond // at most, before a client is told that it asks too much
)

// tarry keeps a client that asks too much waiting, so that it cannot ask in
// vain as fast as it likes.
func tarry(r *http.Request, wait time.Duration) { pause.For(r.Context(), min(wait, tarryFor)) }

// TCP is how the server answers over TCP.
type TCP struct {
	// Hosts are names that a request may be for, besides localhost and any IP
	// address: a web page can have a name of its own point at this machine.
	Hosts []string
	// Origins are web pages, as "https://example.org", whose scripts may call.
	Origins []string
	// Token gives all authority, ReadToken that of Read. Empty: nobody has it.
	Token, ReadToken string
	// Bearer judges tokens that are signed, in place of Token and ReadToken: one
	// that it does not refuse gives all authority. Its error is told to whoever
	// showed the token; one that is jwt.ErrTime is no guess. A token has at most
	// jwt.MaxToken bytes. It must be quick, and take a time that tells nothing of a
	// secret. Nil: none.
	Bearer func(token string) error
	// HostsKey is the key of the config that has Hosts; empty: rpc.hosts.
	HostsKey string
	// Open lets callers without a token read. It is for loopback.
	Open bool
	// Conns bounds connections, 0: DefaultConns. Rate bounds the calls of one
	// client, in calls a second, 0: DefaultRate.
	Conns, Rate int
}

// ServeTCP answers HTTP on l until ctx ends, and closes l. It returns when
// every call has ended.
func (s *Server) ServeTCP(ctx context.Context, l net.Listener, t TCP) error {
	if t.Conns == 0 {
		t.Conns = DefaultConns
	}
	if t.Rate == 0 {
		t.Rate = DefaultRate
	}
	if t.HostsKey == "" {
		t.HostsKey = "rpc.hosts"
	}
	d := &door{s: s, tcp: t, clients: newClients(t.Rate), turned: newClients(t.Rate)}
	paced := &capped{Listener: l, ctx: ctx, most: int64(t.Conns), log: s.log, refused: func() { s.events.Add("connection-refused", 1) }, pace: bucket.New(connectRate, connectRate, time.Now())}
	return s.serveWeb(ctx, paced, d)
}

// door is what a request over TCP passes first.
type door struct {
	s       *Server
	tcp     TCP
	clients *clients
	turned  *clients // paces who is turned away: a web page must not use up what its reader may ask
}

// turnAway refuses a request for the name of another host, or of another page.
func (d *door) turnAway(w http.ResponseWriter, r *http.Request, event string, why *Error) {
	if wait := d.turned.charge(source{addr: addrOf(r.RemoteAddr)}, 1); wait > 0 {
		tarry(r, wait)
	}
	d.s.events.Add(event, 1)
	refuse(w, http.StatusForbidden, why)
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.hostAllowed(r.Host) {
		d.turnAway(w, r, "host-denied", errorf(CodeDenied, "rpc: host %.80q is not one of this node; add it to %s", r.Host, d.tcp.HostsKey))
		return
	}
	if origin, ok := d.originAllowed(r); !ok {
		d.turnAway(w, r, "origin-denied", errorf(CodeDenied, "rpc: web page %.80q may not call; add it to rpc.origins", origin))
		return
	} else if origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Vary", "Origin")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	given := r.Header.Get("Authorization")
	class, wrong := d.authority(given)
	from := source{addrOf(r.RemoteAddr), wrong == nil}
	c := &caller{
		slots: d.s.remote, charge: func(n int) time.Duration { return d.clients.charge(from, n) },
		spent: func(took time.Duration, bytes int) { d.clients.spent(from, took, bytes) },
	}
	// Each request counts, with what is to be read of it, before it is read.
	size := int64(max(d.s.localBytes.message(), d.s.remoteBytes.message()))
	if r.ContentLength >= 0 {
		size = min(r.ContentLength, size)
	}
	if wait := c.wait(1 + weight(int(size))); wait > 0 {
		d.s.events.Add("rate-limited", 1)
		tarry(r, wait)
		busy(w, wait)
		return
	}
	if d.tcp.Open {
		c.class = Read
	}
	if wrong == nil {
		c.class, c.token = class, true
	} else if given != "" {
		d.wrongToken(w, r, from, wrong)
		return
	}
	d.s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
}

// errToken: a token that is nobody's.
var errToken = errors.New("the token is not the node's")

// wrongToken refuses a token that is not the node's. The right one is never
// locked out: a lock-out is for who guesses, and on loopback all are one source.
// Whoever signs with the secret does not guess, and is told that a clock is wrong.
func (d *door) wrongToken(w http.ResponseWriter, r *http.Request, from source, why error) {
	late := errors.Is(why, jwt.ErrTime)
	if wait := d.clients.lockedOut(from); wait > 0 && !late {
		d.s.events.Add("locked-out", 1)
		tarry(r, wait)
		busy(w, wait)
		return
	}
	d.s.events.Add("token-denied", 1)
	if !late {
		d.clients.failed(from)
	}
	deny(w, &caller{class: Public}, errorf(CodeDenied, "rpc: %v", why))
}

// hostAllowed: a name is only ours if it is known to be. An address cannot be
// pointed elsewhere.
func (d *door) hostAllowed(hostport string) bool {
	host := hostOf(hostport)
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || slices.ContainsFunc(d.tcp.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// originAllowed gives the web page that a browser calls for, empty where none
// does, and whether it may: those of the config, and the node's own.
func (d *door) originAllowed(r *http.Request) (origin string, ok bool) {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		// A browser that tells no origin may tell that there is another: an
		// image, say, whose address is the node's, or a frame in another page. To
		// follow a link is allowed.
		site, mode, dest := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
		if (site == "cross-site" || site == "same-site") && (mode != "navigate" || dest != "" && dest != "document") {
			return site, false
		}
		return "", true
	}
	origin = origins[0]
	if len(origins) > 1 {
		return origin, false
	}
	u, err := url.Parse(origin)
	if err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return origin, true
	}
	return origin, slices.ContainsFunc(d.tcp.Origins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// authority is what a header of Authorization gives.
func (d *door) authority(header string) (Class, error) {
	scheme, token, _ := strings.Cut(header, " ")
	most := maxToken
	if d.tcp.Bearer != nil {
		most = jwt.MaxToken
	}
	if !strings.EqualFold(scheme, "Bearer") || len(token) > most {
		return 0, errToken
	}
	if d.tcp.Bearer != nil {
		return Admin, d.tcp.Bearer(token)
	}
	// Both are compared, always, so that the time tells nothing.
	admin, reader := sameToken(token, d.tcp.Token), sameToken(token, d.tcp.ReadToken)
	switch {
	case admin:
		return Admin, nil
	case reader:
		return Read, nil
	}
	return 0, errToken
}

// addrOf is the address that stands for a client: of IPv6, its /64.
func addrOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return subnet.Subscriber(ap.Addr())
}

// ListenTCP opens a TCP address for the server.
func ListenTCP(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("rpc: %w", err)
	}
	return l, nil
}
