package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrUnreachable: no node answers on the socket.
var ErrUnreachable = errors.New("rpc: no node answers")

// Client calls a node over its socket. It is for one goroutine at a time.
type Client struct {
	conn net.Conn
	dec  *json.Decoder
	next int
}

// Dial opens the socket at path.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w on %s: %w", ErrUnreachable, path, err)
	}
	return &Client{conn: conn, dec: json.NewDecoder(conn)}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Call calls a method and reads its result into result, a pointer or nil. It
// blocks until the answer, the end of ctx, or an error; after an error of the
// connection the Client is of no more use. An *Error is the node's own.
func (c *Client) Call(ctx context.Context, method string, result any, params ...any) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(callTimeout + answerTimeout)
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })()
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("rpc: params of %s: %w", method, err)
	}
	c.next++
	id := json.RawMessage(fmt.Sprint(c.next))
	if params == nil {
		raw = json.RawMessage("[]")
	}
	out, err := json.Marshal(request{Version: "2.0", ID: id, Method: method, Params: raw})
	if err != nil {
		return fmt.Errorf("rpc: %s: %w", method, err)
	}
	// A node that refuses a call may stop reading in the middle of it: what it
	// said before counts for more than that it left.
	_, sent := c.conn.Write(append(out, '\n'))
	var r response
	if err := c.dec.Decode(&r); err != nil {
		return c.lost(ctx, errors.Join(sent, err))
	}
	if r.Error != nil {
		return r.Error
	}
	if sent != nil {
		return c.lost(ctx, sent)
	}
	if string(r.ID) != string(id) {
		return fmt.Errorf("rpc: answer to call %s came for call %s", r.ID, id)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.Result, result); err != nil {
		return fmt.Errorf("rpc: result of %s: %w", method, err)
	}
	return nil
}

func (c *Client) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
