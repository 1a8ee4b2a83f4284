// Command opstack measures the OP Stack wire beside op-node's own code, and
// prints ratios.
//
//		go run ./opstack [-rounds 5] [-blocks 2000] [-size 51200] [-slow=false] [-profile FILE] [-write FILE]
//
//	  - Isolation: one peer asks for a block four times a second, alone and while
//	    another has 60 requests out at all times; of a node of ours, and of
//	    op-node v1.19.6. What counts is the 95th of a hundred delays.
//	  - Gap filling from one server: a fresh node of ours from a node of ours that
//	    it knows by a trusted hash only, dial included, until all is imported; the
//	    raw baseline of the module's first benchmark with the same database; and the
//	    sync client of op-node v1.19.0 from v1.19.6, at its steady pace.
//	  - Gossip: message id and validation of one block of 200 transactions, alone
//	    and with six copies, by our code and by op-node v1.19.6's.
//
// op-node runs as a process, by the modules in interop/peers. Kinds are measured
// in turn, in each round. Nothing here is part of the product.
package main
