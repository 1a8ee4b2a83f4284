// Package bucket is a token bucket as a plain value: budgets in bytes, or
// anything else that is counted.
//
// It owns no state, holds no lock and never waits: its caller owns the Bucket,
// says what time it is, and does the waiting that Reserve asks for. Serving
// budgets use it. A hostile peer reaches it only by what it makes others
// charge, and arithmetic on that does not overflow.
package bucket
