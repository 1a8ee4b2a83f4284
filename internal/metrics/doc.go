// Package metrics shows a node's counters as Prometheus metrics.
//
// It owns a registry of its own, never the global one, and one table of
// families: their names, types, labels and help. The page docs/metrics.md comes
// out of that table, and the dashboards and alert rules in deploy/ are checked
// against it. The daemon makes a Set for its node and serves its Handler.
//
// A scrape copies counters and waits for no loop of the node, so it is answered
// when the node hangs, and tells of that. Nothing here meets a peer. Label
// values are fixed texts of ours; an identity, an address or an agent is never
// one, and a text that does not look like one of ours is shown as "other", so a
// peer cannot make the number of series grow.
package metrics
