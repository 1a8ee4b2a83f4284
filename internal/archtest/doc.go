// Package archtest checks the shape of the repository: who imports whom, what
// each package says of itself, how long files are, and that the documents
// tell the truth about the code. It owns nothing and nobody imports it; it is
// tests only. No hostile peer can reach it.
package archtest
