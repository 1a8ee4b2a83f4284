//go:build linux

package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/ledger"
)

const victimDir = "STARLING_TEST_LEDGER_VICTIM"

// TestVictim is the process that TestKillAtRandomMoments kills: it imports
// and says what is durable.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimDir)
	if dir == "" {
		return // it is run by TestKillAtRandomMoments
	}
	l, err := ledger.Open(dir, ledger.Options{Family: toy{network: "toy"}})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	parent := headOf(t, l)
	for i := 0; ; i++ {
		var bs []chain.Block
		for range 1 + i%7 {
			b := toyBlock{parent: parent, weight: 1, body: body("k"+fmt.Sprint(i%9), strings.Repeat(fmt.Sprint(i), 2000))}.make()
			bs = append(bs, b)
			parent = b.Header
		}
		if n, err := l.Import(context.Background(), bs); n != len(bs) || err != nil {
			fmt.Println("import:", n, err)
			os.Exit(1)
		}
		fmt.Println("acked", parent.Ref.Number)
	}
}

// Threat S-01: kill -9 at random moments; what was acknowledged is there, and
// the invariants hold. The whole run is in the daemon's tests.
func TestKillAtRandomMoments(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := filepath.Join(t.TempDir(), "chain")
	var acked uint64
	for round := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$")
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		after := 1 + rand.IntN(60)
		for n := 0; in.Scan(); n++ {
			word, num, _ := strings.Cut(in.Text(), " ")
			if word != "acked" {
				t.Errorf("victim: %s", in.Text())
				break
			}
			v, err := strconv.ParseUint(num, 10, 64)
			if err != nil || v < acked {
				t.Errorf("victim acknowledged %q after %d", num, acked)
			}
			acked = v
			if n == after {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
		l, err := ledger.Open(dir, ledger.Options{Family: toy{network: "toy"}})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		check(t, l)
		if got := l.Status().Head.Number; got < acked {
			t.Errorf("round %d: head %d, acknowledged %d", round, got, acked)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Threat S-03: a real file system of 4 MiB that is full: importing stops with
// ErrFull, reads go on, and it goes on by itself when there is space.
func TestRealDiskFullAndEmptied(t *testing.T) {
	mnt := t.TempDir()
	if err := unix.Mount("tmpfs", mnt, "tmpfs", 0, "size=4m"); err != nil {
		t.Logf("unproven here, since no tmpfs can be mounted (%v); TestFailedWritesSurfaceAndHeal shows the same on a file system that fails", err)
		return
	}
	defer unix.Unmount(mnt, unix.MNT_DETACH)
	l, err := ledger.Open(filepath.Join(mnt, "chain"), ledger.Options{Family: toy{network: "toy"}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	main := large(headOf(t, l), 60)
	n := 0
	for ; n < len(main); n++ {
		if _, err = l.Import(t.Context(), main[n:n+1]); err != nil {
			break
		}
	}
	if !errors.Is(err, chain.ErrFull) || n < 5 {
		t.Fatalf("%d imports and then %v, want ErrFull", n, err)
	}
	check(t, l)
	// Somebody else takes the rest, and still we live.
	ballast := filepath.Join(mnt, "ballast")
	os.WriteFile(ballast, make([]byte, 4<<20), 0o600)
	if _, err := l.Import(t.Context(), main[n:n+1]); !errors.Is(err, chain.ErrFull) {
		t.Errorf("Import = %v, want ErrFull", err)
	}
	check(t, l)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", mnt, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	take(t, l, main)
	check(t, l)
}

// Reads run beside imports and reorganisations, and each sees one moment.
func TestReadersSeeOneMoment(t *testing.T) {
	l := open(t, nil, ledger.Options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				bs, err := l.Blocks(ctx, chain.Range{From: chain.Ref{Number: 0}, Count: 50})
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				for i := 1; i < len(bs); i++ {
					if bs[i].Header.Parent != bs[i-1].Ref().Hash {
						t.Errorf("block %v does not link", bs[i].Ref())
						return
					}
				}
				if _, err := l.Header(ctx, l.Status().Head); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	deadline := time.Now().Add(time.Second)
	main := run(headOf(t, l), 0, 10)
	take(t, l, main)
	for i := uint64(1); time.Now().Before(deadline); i++ {
		parent := headOf(t, l)
		at, err := l.Header(t.Context(), chain.Ref{Number: parent.Ref.Number - i%4})
		if err != nil {
			t.Fatal(err)
		}
		take(t, l, run(at, i, int(i%4)+1))
	}
	stop()
	wg.Wait()
	check(t, l)
}
