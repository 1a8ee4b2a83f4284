// Package pause waits, and stops waiting when a context ends. It owns nothing;
// whoever waits between two tries calls it. How long is the caller's to bound: no
// peer reaches it.
package pause
