// Package jwt makes and checks the JSON Web Tokens with which the two sides of
// the Engine API show each other that they share a secret: HS256 over a time,
// and nothing else (execution-apis, src/engine/authentication.md; RFC 7519).
//
// The ledger of OP Stack networks makes tokens for an execution client, the
// daemon checks those of a consensus client. A hostile client can send any
// token: one is taken only if its signature by our secret is right, before any
// of it is believed, and its algorithm is the one that we name, not the one that
// it would like. A token that somebody overheard works for a minute.
package jwt
