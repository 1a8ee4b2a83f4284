// Package intake guards what a node takes in from its peers, whatever the
// wire: Budget grants the memory for bytes that are still to come, and Pace
// tells a frame that drips in from one on a slow link.
//
// A Budget is shared by all links of a node; a Pace belongs to one frame. The
// frame readers of the wires call both. A hostile peer can announce lengths at
// no cost: while others wait for memory, a frame that is behind its rate loses
// its grant, and the wire ends it.
package intake
