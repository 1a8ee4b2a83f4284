// Package codectest is for tests that speak as a peer does, and for those that
// count what a decoder takes. The product seals packed frames in place and reads
// them within its budget of memory, which a test has not. It owns nothing; tests
// call it, and no hostile peer reaches it.
package codectest
