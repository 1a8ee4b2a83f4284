package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/starlingp2p/starling"
)

// Kind is the type of a family.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Family describes one metric.
type Family struct {
	Name   string // "starling_<part>_<noun>_<unit>"
	Kind   Kind
	Labels []string
	Help   string
}

// Families lists every family that a Set shows beside those of the Go runtime
// and the process, in the order of the table.
func Families() []Family {
	var out []Family
	for _, f := range families() {
		out = append(out, f.Family)
	}
	return out
}

// family is a Family with the way to its values: one of numbers and durations.
type family struct {
	Family
	numbers   func(s *Snapshot, add func(value float64, labels ...string))
	durations func(s *Snapshot, add func(d starling.Distribution, labels ...string))
	scores    bool // the histogram of Snapshot.Scores
}

func (f family) collect(s *Snapshot, desc *prometheus.Desc, out chan<- prometheus.Metric) {
	kind := prometheus.GaugeValue
	if f.Kind == Counter {
		kind = prometheus.CounterValue
	}
	switch {
	case f.numbers != nil:
		var m merger[float64]
		f.numbers(s, func(v float64, labels ...string) { m.add(labels, v, func(a, b float64) float64 { return a + b }) })
		for _, key := range m.order {
			out <- prometheus.MustNewConstMetric(desc, kind, m.values[key], split(key, len(f.Labels))...)
		}
	case f.durations != nil:
		var m merger[starling.Distribution]
		f.durations(s, func(d starling.Distribution, labels ...string) { m.add(labels, d, sumOf) })
		for _, key := range m.order {
			count, buckets := cumulative(m.values[key])
			out <- prometheus.MustNewConstHistogram(desc, count, m.values[key].Sum.Seconds(), buckets, split(key, len(f.Labels))...)
		}
	case f.scores:
		count, sum, buckets := scoreBuckets(s.Scores)
		out <- prometheus.MustNewConstHistogram(desc, count, sum, buckets)
	}
}

// merger sums up values whose labels have become the same by cleaning: two
// metrics with the same labels would spoil the whole scrape.
type merger[V any] struct {
	values map[string]V
	order  []string
}

func (m *merger[V]) add(labels []string, v V, sum func(a, b V) V) {
	key := strings.Join(clean(labels), "\x00")
	have, ok := m.values[key]
	switch {
	case ok:
		v = sum(have, v)
	case m.values == nil:
		m.values = map[string]V{}
		fallthrough
	default:
		m.order = append(m.order, key)
	}
	m.values[key] = v
}

// sumOf adds up two distributions over the same bounds.
func sumOf(a, b starling.Distribution) starling.Distribution {
	a.Counts = slices.Clone(a.Counts)
	for i := range min(len(a.Counts), len(b.Counts)) {
		a.Counts[i] += b.Counts[i]
	}
	a.Sum += b.Sum
	return a
}

func split(key string, n int) []string {
	if n == 0 {
		return nil
	}
	return strings.Split(key, "\x00")
}

// cumulative counts what was at most each bound, as Prometheus does.
func cumulative(d starling.Distribution) (count uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(d.Bounds))
	for i, n := range d.Counts {
		count += n
		if i < len(d.Bounds) {
			buckets[d.Bounds[i].Seconds()] = count
		}
	}
	return count, buckets
}

// scoreBuckets spreads the scores of peers, which run from -100 to 100.
func scoreBuckets(scores []float64) (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = map[float64]uint64{}
	for _, bound := range []float64{-100, -50, -20, -10, -5, -1, 0, 10, 50, 100} {
		buckets[bound] = 0
		for _, s := range scores {
			if s <= bound {
				buckets[bound]++
			}
		}
	}
	for _, s := range scores {
		sum += s
	}
	return uint64(len(scores)), sum, buckets
}

// maxLabel is the longest label value, in bytes.
const maxLabel = 64

// clean makes label values of texts: those that do not look like one of ours
// become "other".
func clean(texts []string) []string {
	out := slices.Clone(texts)
	for i, s := range out {
		if !fits(s) {
			out[i] = "other"
		}
	}
	return out
}

func fits(s string) bool {
	if len(s) > maxLabel {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("-_./+", c) >= 0:
		default:
			return false
		}
	}
	return true
}
