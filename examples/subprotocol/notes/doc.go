// Package notes is a protocol of an embedder's own beside eth: whoever asks gets
// a note. It owns what its peers answered; the example above calls it, with
// another Starling on the other side, and the interop tests do with geth.
//
// What a hostile peer can do is what package devp2p lets it: messages of another
// code end the session, and an answer that nobody waits for is dropped.
package notes
