package reqresp

// Counted counts the bytes that are read and written. One goroutine reads and
// one writes; who looks at the numbers waits for both.
type Counted struct {
	Stream
	In, Out int

	came func(n int) // is told what was read; nil: nobody asks
}

func (c *Counted) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	c.In += n
	if c.came != nil {
		c.came(n)
	}
	return n, err
}

func (c *Counted) Write(b []byte) (int, error) {
	n, err := c.Stream.Write(b)
	c.Out += n
	return n, err
}
