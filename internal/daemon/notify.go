package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What a service manager is told, as sd_notify(3) has it.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
	notifyWatchdog = "WATCHDOG=1"
)

// notifyTimeout bounds the sending of one state; the manager's socket may be full.
const notifyTimeout = time.Second

// notifier tells the service manager (systemd) what the process is about. The
// zero notifier tells nobody.
type notifier struct {
	socket   string        // as in $NOTIFY_SOCKET
	watchdog time.Duration // the process is taken for dead if it says nothing so long; 0: it is not
}

// newNotifier reads the environment that a service manager sets. What it does
// not understand is an error: then the manager would wait in vain.
func newNotifier(getenv func(string) string) (notifier, error) {
	n := notifier{socket: getenv("NOTIFY_SOCKET")}
	if n.socket == "" {
		return notifier{}, nil
	}
	if !strings.HasPrefix(n.socket, "/") && !strings.HasPrefix(n.socket, "@") {
		return notifier{}, fmt.Errorf("$NOTIFY_SOCKET is %.120q, want the path of a socket or @ and a name; start without it if no service manager waits", n.socket)
	}
	usec := getenv("WATCHDOG_USEC")
	if usec == "" {
		return n, nil
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil // it is meant for another process
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
		return notifier{}, fmt.Errorf("$WATCHDOG_USEC is %.40q, want microseconds, at most a day", usec)
	}
	n.watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// tell sends states, each a line. It blocks for a second at most.
func (n notifier) tell(states ...string) error {
	if n.socket == "" {
		return nil
	}
	// A name that begins with @ is one of the abstract namespace; package net
	// has it so too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	err = conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(states, "\n")))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// status is a line for people, as systemctl status shows it.
func status(format string, args ...any) string {
	return "STATUS=" + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
}
