// Package troubles holds docs/troubles.md to what the program says: a test that
// stages a trouble hands over what "why" or "doctor" names first, and the row
// of that trouble must say the same.
//
// Tests call it, nothing else. It meets no peer.
package troubles
