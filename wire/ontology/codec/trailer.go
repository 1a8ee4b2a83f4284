package codec

// Trailer is what follows the transactions of a block since v1.6.0: the merkle
// root of the state, and a message for other chains if there is one. Its sender
// vouches for it: nothing in the block covers it.
type Trailer struct {
	StateRoot Hash
	CrossMsg  *CrossChainMsg // nil: none
	Raw       []byte         // the encoding
}

// CrossChainMsg carries the state root of a height to other chains.
type CrossChainMsg struct {
	Version    byte
	Height     uint32
	StatesRoot Hash
	Sigs       [][]byte
}

const trailerSigs = 1024

// DecodeTrailer reads a trailer, which is all of b.
func DecodeTrailer(b []byte) (t Trailer, err error) {
	r := newReader("block trailer", b, Strict)
	t.StateRoot = r.hash("state root")
	if r.flag("cross-chain flag") {
		m := &CrossChainMsg{Version: r.u8("version"), Height: r.u32("height"), StatesRoot: r.hash("states root")}
		m.Sigs = r.items("signatures", trailerSigs, maxSig)
		t.CrossMsg = m
	}
	if err := r.end(); err != nil {
		return Trailer{}, err
	}
	t.Raw = b[:len(b):len(b)]
	return t, nil
}
