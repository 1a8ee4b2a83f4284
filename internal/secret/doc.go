// Package secret reads and makes the small files that hold keys and tokens.
//
// It owns nothing but the rules: such a file is regular, is no link, can be
// used by its owner alone and has a bounded length; a new one has mode 0600 and
// appears whole or not at all, and none is ever written over. Errors begin with
// the path and end with what to do about it, so that a caller says what file it
// is: fmt.Errorf("token file %w", err).
//
// Whatever keeps an identity, a signer's key or a token calls it. A hostile
// peer cannot reach it. What a hostile user of the same machine could do is
// what it refuses: put a link or a FIFO in the file's place, or read it.
package secret
