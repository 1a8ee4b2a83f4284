package deploy_test

import (
	"slices"
	"strings"
	"testing"
)

// unit reads a unit file: section, key, values in order.
func unit(t *testing.T, path string) map[string]map[string][]string {
	t.Helper()
	out := map[string]map[string][]string{}
	section := ""
	for line := range strings.Lines(read(t, path)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			out[section] = map[string][]string{}
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" || strings.ContainsAny(key, " \t") {
				t.Fatalf("%s: %q is no setting", path, line)
			}
			out[section][key] = append(out[section][key], value)
		}
	}
	return out
}

func TestUnitIsHardenedAndWaitsForReadiness(t *testing.T) {
	u := unit(t, "systemd/starling.service")
	for section, want := range map[string]map[string]string{
		"Service": {
			"Type": "notify", "NotifyAccess": "main", "WatchdogSec": "30s", "User": "starling", "StateDirectory": "starling", "StateDirectoryMode": "0700",
			"Restart": "on-failure", "RestartPreventExitStatus": "2", "UMask": "0077", "ExecReload": "/bin/kill -HUP $MAINPID",
			"NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict", "ProtectHome": "yes",
			"PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "yes", "ProtectClock": "yes", "ProtectControlGroups": "yes",
			"ProtectKernelLogs": "yes", "ProtectKernelModules": "yes", "ProtectKernelTunables": "yes", "ProtectHostname": "yes",
			"ProtectProc": "invisible", "LockPersonality": "yes", "MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes",
			"RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "RemoveIPC": "yes", "KeyringMode": "private", "SystemCallArchitectures": "native",
		},
		"Unit":    {"After": "network-online.target", "Wants": "network-online.target"},
		"Install": {"WantedBy": "multi-user.target"},
	} {
		for key, value := range want {
			if got := u[section][key]; !slices.Equal(got, []string{value}) {
				t.Errorf("[%s] %s is %q, want %q", section, key, got, value)
			}
		}
	}
	if got := u["Service"]["SystemCallFilter"]; len(got) != 2 || got[0] != "@system-service" {
		t.Errorf("SystemCallFilter is %q", got)
	}
	families := strings.Fields(strings.Join(u["Service"]["RestrictAddressFamilies"], " "))
	slices.Sort(families)
	if !slices.Equal(families, []string{"AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"}) {
		t.Errorf("RestrictAddressFamilies is %q", families)
	}
	// What the unit names is what the other files make.
	exec := u["Service"]["ExecStart"]
	if len(exec) != 1 || exec[0] != "/usr/local/bin/starling run --config /var/lib/starling/config.toml" {
		t.Errorf("ExecStart is %q", exec)
	}
	user := read(t, "systemd/starling.sysusers")
	if !strings.Contains(user, "\nu starling - \"Starling node\" /var/lib/starling\n") {
		t.Errorf("the user is made as %q", user)
	}
}
