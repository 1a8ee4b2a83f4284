package codec

// Command is what a frame is.
type Command uint8

// The commands. Unknown is any that this package does not know.
const (
	Unknown Command = iota
	CmdVersion
	CmdVerAck
	CmdGetAddr
	CmdAddr
	CmdPing
	CmdPong
	CmdGetHeaders
	CmdHeaders
	CmdGetBlocks
	CmdInv
	CmdGetData
	CmdBlock
	CmdTx
	CmdConsensus
	CmdNotFound
	CmdDisconnect
	// From here on v1.0.0 closes the link of whoever sends them.
	CmdUpdateKadID
	CmdFindNode
	CmdFindNodeAck
	CmdGetMembers
	CmdMembers
	CmdOffline
	numCommands
)

// commands are the names of the commands, and the most bytes of their payloads.
// The network itself bounds all of them at 30 MiB less a header. A few bytes
// of room are left where v1.0.0 ignores what follows a message.
var commands = [numCommands]struct {
	name string
	most int
}{
	Unknown:        {"unknown", 256 << 10}, // read past, never held
	CmdVersion:     {"version", 1 << 10},
	CmdVerAck:      {"verack", 64},
	CmdGetAddr:     {"getaddr", 64},
	CmdAddr:        {"addr", addrHead + 4096*addrSize}, // senders do not cap it
	CmdPing:        {"ping", 64},
	CmdPong:        {"pong", 64},
	CmdGetHeaders:  {"getheaders", 128},
	CmdHeaders:     {"headers", 4 << 20},
	CmdGetBlocks:   {"getblocks", 128},
	CmdInv:         {"inv", invHead + 1024*32},
	CmdGetData:     {"getdata", 64},
	CmdBlock:       {"block", MaxBlock},
	CmdTx:          {"tx", MaxTx},
	CmdConsensus:   {"consensus", MaxConsensus},
	CmdNotFound:    {"notfound", 64},
	CmdDisconnect:  {"disconnect", 64},
	CmdUpdateKadID: {"updatekadid", 256},
	CmdFindNode:    {"findnode", 64},
	CmdFindNodeAck: {"findnodeack", 4 << 10},
	CmdGetMembers:  {"getmembers", 1 << 10},
	CmdMembers:     {"members", 64 << 10},
	CmdOffline:     {"offline", 64 << 10},
}

// Bounds of the large messages, in bytes.
const (
	MaxBlock     = 10 << 20
	MaxTx        = 1 << 20 // the newest release's
	MaxConsensus = 4 << 20
)

// String is the command as it travels; "unknown" for Unknown.
func (c Command) String() string {
	if c < numCommands {
		return commands[c].name
	}
	return commands[Unknown].name
}

// MaxPayload is the most bytes of the command's payload.
func (c Command) MaxPayload() int {
	if c < numCommands {
		return commands[c].most
	}
	return commands[Unknown].most
}

// New reports whether the command came after v1.0.0, which closes the link of
// whoever sends it.
func (c Command) New() bool { return c >= CmdUpdateKadID && c < numCommands }

// Commands lists all known commands.
func Commands() []Command {
	var all []Command
	for c := CmdVersion; c < numCommands; c++ {
		all = append(all, c)
	}
	return all
}

func commandOf(name string) Command {
	for c := CmdVersion; c < numCommands; c++ {
		if commands[c].name == name {
			return c
		}
	}
	return Unknown
}
