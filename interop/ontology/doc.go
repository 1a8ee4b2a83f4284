// Package ontology tests the Ontology wire and ledger against the real v1.0.0,
// which runs as a process by the module interop/peers/ontology-1.0.0.
package ontology
