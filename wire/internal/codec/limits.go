package codec

// Bounds of the native wire, in bytes and items. Source: docs/wire/native.md,
// section 10.
const (
	MaxStatus    = 4 << 10         // a Status frame
	MaxGoodbye   = 1 << 10         // a Goodbye frame
	MaxRequest   = 1<<20 + 4<<10   // a Request, decoded
	MaxAnswer    = 10 << 20        // all Answer frames of one request together
	MaxFrame     = 10<<20 + 64<<10 // one Answer frame, decoded
	MaxItems     = 4096            // in one Answer frame
	MaxFrames    = 16384           // in one answer
	MaxBlock     = 10 << 20        // a gossiped block, decoded
	MaxTxBundle  = 1 << 20         // gossiped transactions
	MaxTxs       = 512             // in one bundle: so many signatures are checked in a tenth of a second
	MaxConsensus = 1 << 20         // a consensus message
	MaxApp       = 1 << 20         // application data: gossip, request or answer

	MaxHeadersAsked = 1024
	MaxBlocksAsked  = 256 // and bodies
	MaxTxsAsked     = 1024

	MaxNetwork  = 64  // a network's name
	MaxAgent    = 256 // an agent
	MaxText     = 256 // text for people
	MaxName     = 64  // an application protocol, a topic's NAME, a limit
	MaxScheme   = 32  // of an address
	MaxAddrText = 512
)
