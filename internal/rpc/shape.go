package rpc

// shape is what can be told of JSON text without decoding it.
type shape struct {
	batch bool // it is an array
	items int  // of the outermost array or object
}

// nesting follows JSON text byte by byte. It tells depth and ends; it does not
// check the text, which the decoder does later, on what is known to be small.
type nesting struct {
	depth   int
	text    bool // inside a string
	escaped bool // after a backslash in one
	began   bool // the value has begun
	bare    bool // the value is a number or a word
	batch   bool
	filled  bool // the outermost array or object holds something
	commas  int  // of the outermost array or object
}

// next takes a byte. It reports whether the value ends with it, or, for a
// number or a word, before it.
func (n *nesting) next(b byte) (ended bool) {
	if n.text {
		switch {
		case n.escaped:
			n.escaped = false
		case b == '\\':
			n.escaped = true
		case b == '"':
			n.text = false
			return n.depth == 0
		}
		return false
	}
	if space(b) {
		return n.bare
	}
	if n.depth == 1 && b != ']' && b != '}' {
		n.filled = true
	}
	switch b {
	case '"':
		n.text, n.began = true, true
	case '[', '{':
		if n.depth == 0 {
			n.batch = b == '['
		}
		n.depth++
		n.began = true
	case ']', '}':
		n.depth--
		return n.depth <= 0
	case ',':
		if n.depth == 1 {
			n.commas++
		}
		return n.depth == 0
	default:
		if n.depth == 0 {
			n.began, n.bare = true, true
		}
	}
	return false
}

func space(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

func (n *nesting) shape() shape {
	s := shape{batch: n.batch}
	if n.filled {
		s.items = n.commas + 1
	}
	return s
}

// shapeOf looks at JSON text in one pass, without allocating. It fails at the
// first bracket too many.
func shapeOf(raw []byte) (shape, error) {
	var n nesting
	for _, b := range raw {
		ended := n.next(b)
		if n.depth > MaxDepth {
			return shape{}, tooDeep()
		}
		if ended {
			break
		}
	}
	return n.shape(), nil
}

func tooDeep() *Error {
	return errorf(CodeInvalid, "rpc: arrays and objects are more than %d deep", MaxDepth)
}
