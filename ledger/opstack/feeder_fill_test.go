package opstack_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/starlingp2p/starling/ledger"
	"github.com/starlingp2p/starling/ledger/opstack"
)

// While a client gets many blocks, the state says which, how far it is and how
// fast, and the log is told each minute; of a few nothing is made.
func TestALongFillingIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pace = 500 * time.Millisecond
		all := blocks(t, family(t), 300)
		c := newClient(genesis(t), all[:10]...)
		c.takes = pace
		var log lines
		fed(t, c, all, slog.New(slog.NewTextHandler(&log, nil)), func(f *opstack.Feeder, _ *ledger.Ledger) {
			time.Sleep(100*pace + pace/2) // the first call is for the newest block
			synctest.Wait()
			st := f.State()
			if st.Code != opstack.FeedFilling || st.Trouble() || st.Cause != "" || time.Since(st.Since) < 90*pace {
				t.Errorf("state %+v, want %s", st, opstack.FeedFilling)
			}
			fill := st.Fill
			if at := c.last(); fill.From != 111 || fill.To != 400 || fill.At != at || at < 190 || at > 210 || fill.Rate < 1.9 || fill.Rate > 2.1 {
				t.Errorf("%+v, and the client has block %d; want 111 to 400, that block, and 2 blocks/s", fill, at)
			}
			if left, want := fill.Left(), time.Duration(400-fill.At)*pace; left < want*9/10 || left > want*11/10 {
				t.Errorf("%v are left, want %v", left, want)
			}
			time.Sleep(250 * pace)
			synctest.Wait()
			if st := f.State(); st.Code != opstack.FeedFollowing || st.Fill != (opstack.FeedFill{}) || st.Head != all[299].Ref() {
				t.Errorf("at the end the state is %+v", st)
			}
			few := newClient(genesis(t), all[:280]...)
			c.set(func(c *client) { c.has, c.par, c.head = few.has, few.par, few.head })
			time.Sleep(30*time.Second + 10*pace)
			synctest.Wait()
			if st := f.State(); st.Code != opstack.FeedFollowing {
				t.Errorf("for 20 blocks the state is %+v", st)
			}
		})
		var told []string
		for _, line := range log.all {
			if strings.Contains(line, "is given the blocks") {
				told = append(told, line)
			}
		}
		if len(told) != 3 || !strings.Contains(told[1], "from=111") || !strings.Contains(told[1], "to=400") || !strings.Contains(told[1], "left=1m25s") {
			t.Errorf("the log was told %q, want a line at once and one each minute of the two and a half", told)
		}
	})
}

// A filling that fails is the failure's state, and the next one goes on.
func TestAFillingThatFailsGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(t, family(t), 100)
		c := newClient(genesis(t))
		c.takes = time.Second
		fed(t, c, all, nil, func(f *opstack.Feeder, _ *ledger.Ledger) {
			time.Sleep(50*time.Second + time.Second/2)
			c.set(func(c *client) { c.down = errors.New("connection reset") })
			time.Sleep(time.Second)
			synctest.Wait()
			if st := f.State(); st.Code != opstack.FeedUnreachable || st.Fill != (opstack.FeedFill{}) {
				t.Errorf("state %+v, want %s", st, opstack.FeedUnreachable)
			}
			c.made()
			c.set(func(c *client) { c.down = nil })
			time.Sleep(40 * time.Second)
			synctest.Wait()
			if st := f.State(); st.Code != opstack.FeedFilling || st.Fill.From > 133 || st.Fill.From < 129 {
				t.Errorf("state %+v, want a filling from where its head was", st)
			}
			time.Sleep(2 * time.Minute)
			if c.at() != all[99].Ref() {
				t.Errorf("it is at %v", c.at())
			}
		})
	})
}
