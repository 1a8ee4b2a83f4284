package sequenced

import "github.com/starlingp2p/starling/chain"

// Local implements chain.LocalTxPool: by sender, each one's by ascending nonce.
func (p *Pool) Local() []chain.Tx { return p.held.Local() }

// HashOf is the hash of an encoded transaction; false if it does not decode.
func HashOf(b []byte) (chain.Hash, bool) {
	if _, err := DecodeTx(b); err != nil {
		return chain.Hash{}, false
	}
	return txHash(unsigned(b), b), true
}
