package daemon

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is the service manager of the nodes of a test, and wants a sign of life
// at least as often as watchdog says.
func manager(t *testing.T, watchdog time.Duration) *net.UnixConn {
	t.Helper()
	c, path := socket(t)
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	return c
}

// socket is a service manager's end of a socket.
func socket(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, path
}

func hear(t *testing.T, c *net.UnixConn) []string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(buf[:n]), "\n")
}

// A service manager is told when the node is ready, that it lives, and that it
// stops, over its real socket.
func TestTheServiceManagerIsTold(t *testing.T) {
	c := manager(t, 200*time.Millisecond)
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	ended := make(chan error, 1)
	cfg := newConfig(t)
	go func() { ended <- Run(ctx, cfg, Output{}) }()
	var ready []string
	for ready == nil { // the watchdog is told from the first
		if said := hear(t, c); said[0] != notifyWatchdog {
			ready = said
		}
	}
	if ready[0] != notifyReady || len(ready) != 2 || !strings.HasPrefix(ready[1], "STATUS=network test, block ") {
		t.Errorf("ready is told as %q", ready)
	}
	for range 2 {
		if said := hear(t, c); !slices.Equal(said, []string{notifyWatchdog}) {
			t.Errorf("told %q, want the watchdog", said)
		}
	}
	stop()
	for {
		if said := hear(t, c); said[0] == notifyStopping {
			break
		} else if said[0] != notifyWatchdog {
			t.Errorf("told %q, want that it stops", said)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestNotifierReadsItsEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want notifier
		bad  string // in the error
	}{
		{nil, notifier{}, ""},
		{map[string]string{"WATCHDOG_USEC": "1"}, notifier{}, ""},
		{map[string]string{"NOTIFY_SOCKET": "/run/x"}, notifier{socket: "/run/x"}, ""},
		{map[string]string{"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}, notifier{"@x", 30 * time.Second}, ""},
		{map[string]string{"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, notifier{socket: "/run/x"}, ""},
		{map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}, notifier{}, "NOTIFY_SOCKET"},
		{map[string]string{"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"}, notifier{}, "WATCHDOG_USEC"},
		{map[string]string{"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "-1"}, notifier{}, "WATCHDOG_USEC"},
	} {
		got, err := newNotifier(func(k string) string { return tt.env[k] })
		if got != tt.want || (err == nil) != (tt.bad == "") || err != nil && !strings.Contains(err.Error(), tt.bad) {
			t.Errorf("%v: %+v, %v; want %+v, %q", tt.env, got, err, tt.want, tt.bad)
		}
	}
}

// A manager that is not there, or does not read, costs a second at most and
// stops nothing.
func TestAManagerThatIsDeafIsNoHarm(t *testing.T) {
	if err := (notifier{}).tell(notifyReady); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	if err := (notifier{socket: filepath.Join(t.TempDir(), "gone")}).tell(notifyReady); err == nil {
		t.Error("a manager that is not there was told")
	}
	_, path := socket(t)
	n := notifier{socket: path}
	var failed error
	for range 10_000 { // until its buffer is full
		if failed = n.tell(status("x")); failed != nil {
			break
		}
	}
	if failed == nil {
		t.Error("a socket that nobody reads took everything")
	}
	if got := status("a\nREADY=1 %s", "b\nc"); strings.Contains(got, "\n") {
		t.Errorf("a status of several lines: %q", got)
	}
}
