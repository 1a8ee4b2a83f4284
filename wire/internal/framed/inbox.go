package framed

import (
	"fmt"
	"sync"

	"github.com/starlingp2p/starling/peer"
	"github.com/starlingp2p/starling/wire"
)

// Class is one kind of work that frames cause: serving, checking gossip,
// consensus. Classes do not wait for each other.
type Class struct {
	Name    string
	Queue   Bound // of what waits to be worked on; what does not fit is dropped
	Workers int   // goroutines at once; 0: 1, which keeps the order
}

// Inbox is the work of one link that its reader must not wait for. A class has
// no goroutine before its first work; those that it has begun wait for more: a
// new one for each message would have to grow its stack each time. All methods
// are safe for concurrent use.
type Inbox struct {
	fault func(error)

	mu      sync.Mutex // a leaf
	classes []class
	closed  bool
	wg      sync.WaitGroup
}

type class struct {
	Class
	items   fifo[job]
	bytes   int
	busy    int        // workers that work, or were told to
	idle    int        // workers that wait
	more    *sync.Cond // tells one of them that there is work
	dropped uint64
}

type job struct {
	frame Frame
	work  func(Frame)
}

// NewInbox makes an inbox, which Close ends. fault is told of work that
// panicked; it must not block.
func NewInbox(fault func(error), classes ...Class) *Inbox {
	b := &Inbox{fault: fault}
	for _, c := range classes {
		c.Queue = c.Queue.withDefaults()
		c.Workers = max(c.Workers, 1)
		b.classes = append(b.classes, class{Class: c, more: sync.NewCond(&b.mu)})
	}
	return b
}

// Put queues work of a class, by its index, and takes over the frame, which is
// released when the work is done. False: there was no room, or the inbox is
// closed; the frame is released. It never blocks.
func (b *Inbox) Put(index int, f Frame, work func(Frame)) bool {
	b.mu.Lock()
	c := &b.classes[index]
	free := c.busy < c.Workers
	if b.closed || !free && !c.Queue.room(c.items.len(), c.bytes, f.Size()) {
		if !b.closed {
			c.dropped++
		}
		b.mu.Unlock()
		f.Release()
		return false
	}
	c.items.push(job{f, work})
	c.bytes += f.Size()
	if free {
		c.busy++
		if c.idle > 0 {
			c.idle--
			c.more.Signal()
		} else {
			b.wg.Go(func() { b.run(c) })
		}
	}
	b.mu.Unlock()
	return true
}

// Dropped is how much work of a class found no room.
func (b *Inbox) Dropped(index int) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.classes[index].dropped
}

// run works until the inbox is closed.
func (b *Inbox) run(c *class) {
	for {
		j, ok := b.next(c)
		if !ok {
			return
		}
		b.do(c.Name, j)
	}
}

// next blocks for work; false once the inbox is closed.
func (b *Inbox) next(c *class) (job, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && c.items.len() == 0 {
		c.busy--
		c.idle++
		c.more.Wait() // whoever wakes it counts it as busy
	}
	if b.closed {
		return job{}, false
	}
	j := c.items.pop()
	c.bytes -= j.frame.Size()
	return j, true
}

func (b *Inbox) do(name string, j job) {
	defer j.frame.Release()
	defer func() {
		if r := recover(); r != nil {
			b.fault(&wire.Fault{Offense: peer.BrokeHandler, Err: fmt.Errorf("framed: %s of message %d panicked: %.200v", name, j.frame.Code, r)})
		}
	}()
	j.work(j.frame)
}

// Close drops what waits, takes nothing more, and blocks until what is under
// way has ended: end the context of the work first.
func (b *Inbox) Close() {
	b.mu.Lock()
	b.closed = true
	var rest []Frame
	for i := range b.classes {
		for c := &b.classes[i]; c.items.len() > 0; {
			rest = append(rest, c.items.pop().frame)
		}
		b.classes[i].bytes = 0
		b.classes[i].more.Broadcast()
	}
	b.mu.Unlock()
	for _, f := range rest {
		f.Release()
	}
	b.wg.Wait()
}
