package eth

// BlockBodies answers GetBlockBodies; each body is a list [transactions,
// uncles] or [transactions, uncles, withdrawals].
type BlockBodies struct {
	ID     uint64
	Bodies [][]byte
}

// Append appends the payload.
func (m BlockBodies) Append(b []byte) []byte { return appendIDRaw(b, m.ID, m.Bodies) }

// DecodeBlockBodies reads the payload: at most most bodies, as many as were
// asked for. Of a body only the outer form is judged.
func DecodeBlockBodies(b []byte, most int) (m BlockBodies, err error) {
	c := message(b)
	m.ID = c.uint()
	in := c.list()
	m.Bodies = in.lists(most)
	c.nested(&in)
	if err := c.end("bodies"); err != nil {
		return m, err
	}
	for _, body := range m.Bodies {
		if err := checkBody(body); err != nil {
			return m, err
		}
	}
	return m, nil
}

// The least that an item of a body takes, in bytes (go-ethereum eth/fetcher):
// what claims more items wants memory rather than to be believed.
const (
	leastTx         = 10
	leastWithdrawal = 25
)

// checkBody checks that a body's lists are lists, and their items not too small.
func checkBody(body []byte) error {
	c := message(body)
	for part := range 3 {
		if part == 2 && !c.more() {
			break // no withdrawals, before Shanghai
		}
		in := c.list()
		size := len(in.b)
		switch n := in.count(size); {
		case part == 0 && n*leastTx > size, part == 2 && n*leastWithdrawal > size:
			return bad("body: %d items in %d bytes", n, size)
		case in.err != nil:
			c.fail(in.err)
		}
	}
	return c.end("body")
}
