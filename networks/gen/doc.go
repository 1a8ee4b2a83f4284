// Command gen writes the presets: from modules' source, whose versions and sums
// modules.go names, into networks/presets. It fetches those modules through
// GOPROXY and dials nobody else. What a module does not have is left out, and
// where two modules say different things it fails.
//
//	cd networks/gen && go run . [FOLDER]
package main
