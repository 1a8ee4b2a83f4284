package opstack

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/starlingp2p/starling/peer"
)

// maxReply bounds what a server may say, in bytes.
const maxReply = 64 << 10

// answerError is an error that a server answered with; its text is clean.
type answerError struct {
	Method string
	Code   int
	Text   string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s: %s (code %d)", e.Method, e.Text, e.Code)
}

// statusError is an answer that is no JSON-RPC.
type statusError struct {
	Method string
	Status int // of HTTP
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d and no JSON", e.Method, e.Status)
}

// caller calls methods of a JSON-RPC server. It is safe for concurrent use.
type caller struct {
	endpoint string
	host     string // of endpoint, fit to be shown: the rest may hold a key
	headers  http.Header
	bearer   func() string // a token for each request; nil: none
	most     int64         // bytes of an answer; 0: maxReply
	client   *http.Client
}

func newCaller(endpoint string, headers http.Header, conf *tls.Config) (*caller, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("want http:// or https:// and a host")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = conf
	return &caller{endpoint: endpoint, host: u.Host, headers: headers, client: &http.Client{
		Transport: t,
		// What is sent is for this server: its headers, a token, what is to be signed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// close ends idle connections.
func (c *caller) close() { c.client.CloseIdleConnections() }

// call blocks until the answer is there or ctx ends. Errors of the transport
// do not repeat the endpoint.
func (c *caller) call(ctx context.Context, method string, params []any, result any) error {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range c.headers {
		req.Header[k] = v
	}
	if c.bearer != nil {
		req.Header.Set("Authorization", "Bearer "+c.bearer())
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	var in *url.Error
	if errors.As(err, &in) {
		return fmt.Errorf("%s: %w", method, in.Err)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, max(c.most, maxReply)))
	if err != nil {
		return err
	}
	if c.bearer != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
		return &statusError{method, resp.StatusCode}
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(raw, &reply); err != nil {
		return &statusError{method, resp.StatusCode}
	}
	if reply.Error != nil {
		return &answerError{method, reply.Error.Code, peer.Clean(reply.Error.Message)}
	}
	if err := json.Unmarshal(reply.Result, result); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
