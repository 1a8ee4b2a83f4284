package why

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/starlingp2p/starling/internal/eventlog"
)

// Recorded answers out of a recording, which may come from anybody, as of its
// last record: for a peer, or for the node where who is empty. What only a
// running node knows is not in it: whom it could dial, and what waits.
func Recorded(in io.Reader, who string) (Report, error) {
	r, err := eventlog.NewReader(in)
	if err != nil {
		return Report{}, err
	}
	c := New(false)
	now, records := r.Header.Began, 0
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Report{}, err
		}
		c.Take(rec.Time, rec.Event)
		now, records = rec.Time, records+1
	}
	var report Report
	if who == "" {
		report = c.Node(now, nil)
	} else if report, err = c.Peer(now, nil, who); err != nil {
		return Report{}, err
	}
	note := fmt.Sprintf("out of a recording of %d events that began %s", records, r.Header.Began.UTC().Format(time.RFC3339))
	if r.Header.Node != "" {
		note += ", of node " + r.Header.Node
	}
	switch f, ended := r.Footer(); {
	case !ended:
		note += "; it has no end: the node was killed, or it was copied while it was written"
	case f.Missed > 0:
		note += fmt.Sprintf("; %d events are missing in it", f.Missed)
	}
	if n := r.Skipped(); n > 0 {
		note += fmt.Sprintf("; %d events of kinds that this program does not know were passed over", n)
	}
	report.Source = note
	return report, nil
}
