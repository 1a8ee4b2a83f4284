package serve

import (
	"math"

	"github.com/starlingp2p/starling/chain"
	"github.com/starlingp2p/starling/wire"
)

// bounded cuts a request to what is answered at once, and tells how many
// items that may be. It never makes a request larger.
func (s *Server) bounded(r wire.Request) (wire.Request, int) {
	c := &s.cfg
	switch r := r.(type) {
	case wire.GetHeaders:
		r.Range = cutRange(r.Range, c.MaxHeaders, c.AnswerMax)
		return r, r.Range.Count
	case wire.GetBlocks:
		r.Range = cutRange(r.Range, c.MaxBlocks, c.AnswerMax)
		return r, r.Range.Count
	case wire.GetBlocksByHash:
		r.Hashes, r.MaxBytes = cutHashes(r.Hashes, c.MaxBlocks), cutBytes(r.MaxBytes, c.AnswerMax)
		return r, len(r.Hashes)
	case wire.GetBodies:
		r.Hashes, r.MaxBytes = cutHashes(r.Hashes, c.MaxBlocks), cutBytes(r.MaxBytes, c.AnswerMax)
		return r, len(r.Hashes)
	case wire.GetReceipts:
		r.Hashes, r.MaxBytes = cutHashes(r.Hashes, c.MaxBlocks), cutBytes(r.MaxBytes, c.AnswerMax)
		return r, len(r.Hashes)
	case wire.GetTxs:
		r.Hashes, r.MaxBytes = cutHashes(r.Hashes, c.MaxTxs), cutBytes(r.MaxBytes, c.AnswerMax)
		return r, len(r.Hashes)
	case wire.GetAddrs:
		r.Max = min(max(r.Max, 0), c.MaxAddrs)
		return r, r.Max
	}
	return r, 1
}

func cutHashes(hs []chain.Hash, most int) []chain.Hash { return hs[:min(len(hs), most)] }

// cutBytes bounds what is wished for; nothing stands for the most.
func cutBytes(wish, most int) int {
	if wish <= 0 || wish > most {
		return most
	}
	return wish
}

// cutRange bounds a range, so that no arithmetic on its numbers wraps.
func cutRange(r chain.Range, count, bytes int) chain.Range {
	r.Count = min(max(r.Count, 0), count)
	r.Skip = max(r.Skip, 0)
	r.MaxBytes = cutBytes(r.MaxBytes, bytes)
	if !r.From.Hash.IsZero() || r.Count == 0 {
		return r // the number is ignored; the chain ends at its own ends
	}
	room := math.MaxUint64 - r.From.Number
	if r.Reverse {
		room = r.From.Number
	}
	if steps := room / (uint64(r.Skip) + 1); steps < uint64(r.Count-1) {
		r.Count = int(steps) + 1
	}
	return r
}

// kinds of work, as far as their size is estimated.
const (
	ofHeaders = iota
	ofBlocks
	ofReceipts
	ofTxs
	ofAddrs
	ofApp
	numKinds
)

// firstGuess is the size of an item, in bytes, before any was served.
var firstGuess = [numKinds]float64{512, 16 << 10, 16 << 10, 512, 64, 1 << 10}

func kindOf(r wire.Request) int {
	switch r.(type) {
	case wire.GetHeaders:
		return ofHeaders
	case wire.GetBlocks, wire.GetBlocksByHash, wire.GetBodies:
		return ofBlocks
	case wire.GetReceipts:
		return ofReceipts
	case wire.GetTxs:
		return ofTxs
	case wire.GetAddrs:
		return ofAddrs
	}
	return ofApp
}

// estimate guesses what an answer of that many items costs.
func (s *Server) estimate(r wire.Request, items int) int {
	s.mu.Lock()
	each := s.each[kindOf(r)]
	s.mu.Unlock()
	most := s.cfg.AnswerMax
	switch r := r.(type) {
	case wire.GetHeaders:
		most = r.Range.MaxBytes
	case wire.GetBlocks:
		most = r.Range.MaxBytes
	case wire.GetBlocksByHash:
		most = r.MaxBytes
	case wire.GetBodies:
		most = r.MaxBytes
	case wire.GetReceipts:
		most = r.MaxBytes
	case wire.GetTxs:
		most = r.MaxBytes
	case wire.AppRequest:
		return max(least, int(each)+len(r.Bytes))
	}
	return max(least, int(min(each*float64(items), float64(most))))
}

// learn takes in what items of a kind really took.
func (s *Server) learn(r wire.Request, items, bytes int) {
	if items == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	each := &s.each[kindOf(r)]
	*each += (float64(bytes)/float64(items) - *each) / 16
}
