package rpc

import (
	"encoding/json"
	"fmt"
)

// Bounds of messages and of a unix socket's connections.
const (
	MaxRequestBytes = 5 << 20
	MaxAnswerBytes  = 25 << 20 // of a batch as a whole too
	MaxBatch        = 100      // calls in one message
	MaxDepth        = 64       // of arrays and objects in each other
	MaxConns        = 64       // on the unix socket

	maxIDBytes = 1 << 10
)

// Codes of errors: those of JSON-RPC 2.0 §5.1, and those of ours below -32000.
const (
	CodeParse     = -32700
	CodeInvalid   = -32600
	CodeNoMethod  = -32601
	CodeBadParams = -32602
	CodeInternal  = -32603
	CodeFailed    = -32000 // the method ran, and failed
	CodeNoNotify  = -32001 // subscriptions need a connection that stays (the code is geth's)
	CodeLimited   = -32005 // too much at once (EIP-1474)
	CodeDenied    = -32010 // the caller lacks the authority
	CodeDropped   = -32011 // a subscription ended since its reader was too slow
)

// request is a call as it comes.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"` // nil: a notification, which gets no answer
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// response answers one request.
type response struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *Error          `json:"error,omitempty"`
}

// encode writes the response as JSON.
func (r response) encode() []byte {
	r.Version = "2.0"
	if r.ID == nil {
		r.ID = json.RawMessage("null")
	}
	out, err := json.Marshal(r)
	if err != nil { // an id or a result that is no JSON, which nobody lets in here
		out, _ = json.Marshal(response{Version: "2.0", ID: json.RawMessage("null"), Error: &Error{CodeInternal, "rpc: internal error"}})
	}
	return out
}

// Error is what a call failed with.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// errorf makes an Error.
func errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// BadParams is an Error that says what is wrong with a call's parameters.
func BadParams(format string, args ...any) error {
	return errorf(CodeBadParams, format, args...)
}

// Params reads positional parameters into the targets, which are pointers. Too
// many are an error; those that are missing, or null, leave their targets alone.
func Params(raw json.RawMessage, targets ...any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] != '[' {
		return BadParams("params must be an array: they go by position")
	}
	// Counted before they are decoded: a million of them would take memory.
	if shape, err := shapeOf(raw); err != nil {
		return err
	} else if shape.items > len(targets) {
		return BadParams("%d params, want at most %d", shape.items, len(targets))
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return BadParams("params must be an array: %v", err)
	}
	for i, item := range list {
		if err := json.Unmarshal(item, targets[i]); err != nil {
			return BadParams("param %d: %v", i+1, err)
		}
	}
	return nil
}
