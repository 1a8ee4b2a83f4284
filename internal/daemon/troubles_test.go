package daemon

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/starlingp2p/starling/internal/doctor"
	"github.com/starlingp2p/starling/internal/troubles"
)

// diagnosed checks that the first result is of that check and failed, and that
// the table of troubles says the same.
func diagnosed(t *testing.T, trouble, check string, level doctor.Level, r doctor.Report) {
	t.Helper()
	first := r.Results[0]
	if first.Check != check || first.Level != level || r.Failed() != (level == doctor.Fail) {
		t.Fatalf("%s: want %s first, and it says %+v", trouble, check, r.Results)
	}
	if err := troubles.Check("../..", troubles.Row{
		Trouble: trouble, Verb: "doctor", Code: first.Check, Says: first.Detail, Do: first.Remedy, Test: "internal/daemon." + t.Name(),
	}); err != nil {
		t.Error(err)
	}
}

func TestTroublePortInUse(t *testing.T) {
	cfg := newConfig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg.Networks[0].Listen = []string{"/ip4/127.0.0.1/tcp/" + portOf(taken)}
	diagnosed(t, "the port is in use", doctor.CheckPorts, doctor.Fail, Doctor(t.Context(), cfg, nil, nil))
}

func TestTroubleKeyOpenToOthers(t *testing.T) {
	cfg := newConfig(t)
	if err := os.Chmod(filepath.Join(cfg.Datadir, cfg.Networks[0].Sequenced.ProduceKey), 0o644); err != nil {
		t.Fatal(err)
	}
	diagnosed(t, "a key file is open to others", doctor.CheckKeys, doctor.Fail, Doctor(t.Context(), cfg, nil, nil))
}

func TestTroubleTwoProcesses(t *testing.T) {
	cfg := newConfig(t)
	running(t, cfg)
	diagnosed(t, "another process holds the datadir", doctor.CheckLock, doctor.Fail, Doctor(t.Context(), cfg, nil, nil))
}

func TestTroubleClockBeforeGenesis(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].Sequenced.GenesisTime = time.Now().Add(24 * time.Hour)
	diagnosed(t, "the clock is before the genesis", doctor.CheckClock, doctor.Fail, Doctor(t.Context(), cfg, nil, nil))
}

func TestTroubleAdvertisedPort(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].Listen = []string{"/ip4/127.0.0.1/tcp/14001"}
	cfg.Networks[0].Advertise = []string{"/ip4/203.0.113.7/tcp/4001"}
	r := Doctor(t.Context(), cfg, nil, nil)
	if r.Results[0].Check == doctor.CheckPorts { // somebody has that port: it is not what this is about
		r.Results = r.Results[1:]
	}
	diagnosed(t, "advertised and listening port differ", doctor.CheckAdvertise, doctor.Warn, r)
}

func TestTroubleSeenElsewhere(t *testing.T) {
	f := mistold(seenElsewhere{true})(nil)[0]
	diagnosed(t, "others see the node at another address than it tells", doctor.CheckAdvertise, doctor.Warn, doctor.Of(ofFinding(checkOf(f), f)))
}

func TestTroubleConfigIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("config_version = 1\n[[network]]\nname = \"x\"\nmax_peer = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(path)
	if err == nil {
		t.Fatal("the config is taken")
	}
	diagnosed(t, "the config has a mistake", doctor.CheckConfig, doctor.Fail, Doctor(t.Context(), cfg, err, nil))
}

// What is wrong inside a node that runs comes from the node itself.
func TestTroubleOfARunningNode(t *testing.T) {
	cfg := newConfig(t)
	cfg.Networks[0].NoDiscovery = true
	cfg.Networks[0].Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	cfg.Networks[0].Sequenced.ProduceKey = "" // the network's first node may be alone
	c := running(t, cfg)
	diagnosed(t, "a running node without peers", doctor.CheckPeers, doctor.Fail, Doctor(t.Context(), cfg, nil, c))
}
