package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/starlingp2p/starling"
)

// Snapshot is what the families are read from.
type Snapshot struct {
	Counters starling.Counters
	Status   starling.Status
	Scores   []float64 // of the peers with a session
	HeadTime time.Time // of the head's header; zero: not known
	PoolTxs  int       // that wait; below 0: there is no pool
	PoolSize int       // bytes
	// PoolDrops and ConsensusDrops are by reason; nil: nobody counts them.
	PoolDrops, ConsensusDrops map[string]uint64

	RPC map[string]uint64
	// Engine is of the execution client that follows; nil: none does. EngineAPI
	// is of the Engine API that the node serves itself.
	Engine    *Engine
	EngineAPI map[string]uint64
	Build     Build
}

// Build says which program this is.
type Build struct{ Version, Revision, GoVersion string }

// Set is the metrics of one node.
type Set struct {
	registry *prometheus.Registry
	families []described
	read     func() Snapshot
}

// described is a family as the library wants it.
type described struct {
	family
	desc *prometheus.Desc
}

// New makes a set on a registry of its own. read is called for each scrape,
// from any goroutine, and must not block.
func New(read func() Snapshot) *Set {
	s := &Set{registry: prometheus.NewRegistry(), read: read}
	for _, f := range families() {
		s.families = append(s.families, described{f, prometheus.NewDesc(f.Name, f.Help, f.Labels, nil)})
	}
	s.registry.MustRegister(s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(out chan<- *prometheus.Desc) {
	for _, f := range s.families {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(out chan<- prometheus.Metric) {
	snap := s.read()
	for _, f := range s.families {
		f.collect(&snap, f.desc, out)
	}
}

// Gatherer gives the metrics in the library's form.
func (s *Set) Gatherer() prometheus.Gatherer { return s.registry }

// Bounds of scraping.
const (
	maxScrapes   = 4 // at once; more are refused with 503
	scrapeWithin = 10 * time.Second
)

// Handler serves the metrics in the text format of Prometheus, and in
// OpenMetrics for those who ask for it.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeWithin, EnableOpenMetrics: true,
		ErrorHandling: promhttp.HTTPErrorOnError,
	})
}
