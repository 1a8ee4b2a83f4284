package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Notifications are those of one subscription of a Client.
type Notifications struct {
	client *Client
	method string
	id     string
}

// Subscribe begins a subscription of a namespace. After it the Client is for
// Next alone.
func (c *Client) Subscribe(ctx context.Context, namespace, name string, params ...any) (*Notifications, error) {
	n := &Notifications{client: c, method: namespace + "_subscription"}
	return n, c.Call(ctx, namespace+"_subscribe", &n.id, append([]any{name}, params...)...)
}

// Next blocks for the next notification and reads it into value, a pointer. It
// ends with ctx, after which the Client is of no more use. An *Error says why
// the node has ended the subscription.
func (n *Notifications) Next(ctx context.Context, value any) error {
	c := n.client
	if err := c.conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })()
	for {
		// With a value, or with the error that has ended the subscription.
		var note struct {
			Method string `json:"method"`
			Params struct {
				ID     string          `json:"subscription"`
				Result json.RawMessage `json:"result"`
				Error  *Error          `json:"error"`
			} `json:"params"`
		}
		if err := c.dec.Decode(&note); err != nil {
			return c.lost(ctx, err)
		}
		switch {
		case note.Method != n.method || note.Params.ID != n.id:
			continue
		case note.Params.Error != nil:
			return note.Params.Error
		}
		if err := json.Unmarshal(note.Params.Result, value); err != nil {
			return fmt.Errorf("rpc: notification of %s: %w", n.method, err)
		}
		return nil
	}
}
