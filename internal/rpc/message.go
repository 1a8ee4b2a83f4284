package rpc

import (
	"encoding/json"
	"fmt"
)

// Bounds of a message and of a connection.
const (
	MaxRequestBytes = 1 << 20
	MaxAnswerBytes  = 25 << 20
	MaxConns        = 64
)

// Codes of errors: those of JSON-RPC 2.0 §5.1, and those of ours below -32000.
const (
	CodeParse     = -32700
	CodeInvalid   = -32600
	CodeNoMethod  = -32601
	CodeBadParams = -32602
	CodeInternal  = -32603
	CodeFailed    = -32000 // the method ran, and failed
)

// request is a call as it comes over the socket.
type request struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
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

// Error is what a call failed with.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// BadParams is an Error that says what is wrong with a call's parameters.
func BadParams(format string, args ...any) error {
	return &Error{Code: CodeBadParams, Message: fmt.Sprintf(format, args...)}
}

// Params reads positional parameters into the targets, which are pointers. Too
// many are an error; those that are missing leave their targets alone.
func Params(raw json.RawMessage, targets ...any) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return BadParams("params must be an array: %v", err)
	}
	if len(list) > len(targets) {
		return BadParams("%d params, want at most %d", len(list), len(targets))
	}
	for i, item := range list {
		if err := json.Unmarshal(item, targets[i]); err != nil {
			return BadParams("param %d: %v", i+1, err)
		}
	}
	return nil
}
