// Package recent remembers what was added last, in a bound: hashes that were
// refused, headers that were imported.
//
// It owns no lock and knows no time: its caller does. Sync and the families'
// transaction pools use it. A hostile peer that makes its caller remember much
// makes it forget what is oldest, and takes no more memory than the bound.
package recent
