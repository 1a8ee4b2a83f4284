package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// the session speaks [eth/69 note/1]
	// of the peer the protocol shows map[notes:one]
	// of the node it shows map[asks:true]
	// the peer says: a node with notes
}
