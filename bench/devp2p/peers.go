package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/starlingp2p/starling/interop/peers/steer/steertest"
)

const (
	chainID = 90118
	faucet  = "00000000000000000000000000000000000000000000000000000000000a11ce"
	// patience bounds whatever a process should do at once.
	patience = 5 * time.Minute
)

// told is an event of a geth.
type told struct {
	Event string `json:"event"`
	What  string `json:"what"`
	Hash  string `json:"hash"`
}

// server is a node that runs as a process.
type server struct {
	*steertest.Process[told] `json:"-"`
	Enode                    string
	Genesis                  json.RawMessage
}

// startGeth runs a geth that has the first blocks of the chain.
func (o options) startGeth(blocks uint64, key int) (*server, error) {
	return start("geth", o.geth(), "", map[string]any{
		"chain_id": chainID, "txs": o.txs, "faucet": faucet, "blocks": blocks, "versions": []uint{69},
		"key": fmt.Sprintf("%064x", 0xbe7c4+key), "listen": "127.0.0.1:0",
	})
}

// startOurs runs a node of ours on the ledger in dir.
func (o options) startOurs(dir string, genesis json.RawMessage, budgets bool) (*server, error) {
	return again("node", map[string]any{"dir": dir, "genesis": genesis, "budgets": budgets})
}

// startCrowd runs greedy clients of a node.
func (o options) startCrowd(s *server) (*server, error) {
	return again("crowd", map[string]any{"enode": s.Enode, "blocks": o.blocks, "status": o.status})
}

// again runs this program in another role.
func again(role string, params map[string]any) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(role, self, roleVar+"="+role, params)
}

func start(who, binary, env string, params map[string]any) (s *server, err error) {
	s = &server{}
	if s.Process, err = steertest.Start[told](who, binary, patience, env); err != nil {
		return nil, err
	}
	if err := s.Try(map[string]any{"do": "start", "params": params}, s); err != nil {
		s.Stop()
		return nil, fmt.Errorf("bench: %s: %w", who, err)
	}
	return s, nil
}

// hash asks a geth for the hash of a block of the chain.
func (s *server) hash(number uint64) (string, error) {
	var b struct{ Hash string }
	err := s.Try(map[string]any{"do": "block", "number": number}, &b)
	return b.Hash, err
}

// cpu is the time that a process has used, in seconds: of Linux, in steps of
// a hundredth.
func cpu(pid int) (float64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("bench: %q has no times", stat)
	}
	var ticks int
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return float64(ticks) / 100, nil
}
