// Package meter counts what happens, cheaply enough for every message: sums by
// a bounded set of keys, durations in fixed buckets, and how busy a loop is.
//
// It owns no goroutine and knows no names: whoever counts chooses the keys, and
// whoever reads gets copies. The parts of a node write, its Counters read, from
// any goroutine. A hostile peer can make numbers grow; it cannot make a set of
// keys grow past its bound.
package meter
