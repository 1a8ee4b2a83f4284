// Package report is what the measurements share once they have their figures:
// the spread of some, and the place of a report in a document. The programs of
// this module call it; peers never reach it.
package report

import (
	"bytes"
	"errors"
	"os"
	"slices"
)

// End is the line behind a report in a document.
const End = "<!-- end -->\n"

// Spread is the least, the middle and the greatest of some figures.
type Spread struct{ Min, Median, Max float64 }

// SpreadOf is the spread of at least one figure.
func SpreadOf(xs []float64) Spread {
	s := slices.Sorted(slices.Values(xs))
	n := len(s)
	return Spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

// Each is the spread of one figure of each round.
func Each[R any](rounds []R, of func(R) float64) Spread {
	xs := make([]float64, len(rounds))
	for i, r := range rounds {
		xs[i] = of(r)
	}
	return SpreadOf(xs)
}

// Write puts a report into a document, between the line begin and End.
func Write(path, begin, report string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(doc, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(End))
	if !ok || !ok2 {
		return errors.New("bench: " + path + " lacks the lines between which the report goes")
	}
	return os.WriteFile(path, slices.Concat(before, []byte(begin+"\n"+report+"\n"+End), after), 0o644)
}
