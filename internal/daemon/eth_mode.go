package daemon

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire/devp2p/eth"
)

// Modes of a sync: what is fetched of a block beside its header and body.
const (
	modeFull = "full" // nothing
	modeFast = "fast" // receipts, where the ledger was empty at the start
)

// checkMode names what geth had and this program has not.
func (e *Ethereum) checkMode(p *problems) {
	switch e.Mode {
	case "", modeFull, modeFast:
	case "light":
		p.bad(`network.ethereum.mode is "light", and the light protocol (les) is not in this program: its servers went away with the Merge; set "full" or "fast"`)
	case "snap":
		p.bad(`network.ethereum.mode is "snap", and no state is kept here that could be fetched; set "full", or "fast" for receipts too`)
	default:
		p.bad(`network.ethereum.mode is %.40q, want "full" or "fast"`, e.Mode)
	}
}

// withReceipts reports whether receipts are fetched. In the mode fast they are
// if the ledger is empty; else the mode is full, as in geth, since receipts are
// fetched with their blocks and not afterwards.
func (e *Ethereum) withReceipts(st chain.Status, log *slog.Logger) bool {
	if e.Receipts || e.Mode != modeFast {
		return e.Receipts
	}
	if st.Head.Hash != st.Genesis {
		log.Warn("network.ethereum.mode is fast, and the ledger is not empty; it goes on as full, without receipts", "head", st.Head.Number)
		return false
	}
	return true
}

// offered are the versions of eth that are offered; none: all. It fails where
// none of them can sync the network: by total difficulty, which old versions
// alone tell, unless a trusted block leads.
func (e *Ethereum) offered(byDifficulty bool) ([]eth.Version, error) {
	var out []eth.Version
	for _, v := range e.Versions {
		out = append(out, eth.Version(v))
	}
	mode := e.Mode
	if mode == "" {
		mode = modeFull
	}
	if byDifficulty && len(out) > 0 && !slices.ContainsFunc(out, eth.Version.HasDifficulty) {
		return nil, fmt.Errorf("network.ethereum.versions is %v, which leaves the mode %s no version of eth: this network is synced by total difficulty, which eth/68 tells and later ones do not; add 68, leave the key out, or set network.target", e.Versions, mode)
	}
	return out, nil
}
