package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/starlingp2p/starling/wire/devp2p"
)

// Files of geth's in the datadir, each a list of enode URLs or records in JSON:
// whom to stay connected to, and whom to admit over every limit besides. What
// the config names counts too.
const (
	staticNodesFile  = "static-nodes.json"
	trustedNodesFile = "trusted-nodes.json"
)

// readNodes reads one of them; none where there is no such file.
func readNodes(dir *Datadir, name string) (urls []string, err error) {
	raw, err := readBounded(dir.Sub(name), maxConfigBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &urls)
	}
	if err != nil {
		return nil, fmt.Errorf(`%s: %w; want a list as ["enode://…"]`, dir.Sub(name), err)
	}
	if len(urls) > mostAddrs {
		return nil, fmt.Errorf("%s has %d nodes, want at most %d", dir.Sub(name), len(urls), mostAddrs)
	}
	for i, u := range urls {
		if _, err := devp2p.ParseAddr(u); err != nil {
			return nil, fmt.Errorf("%s: node %d: %w", dir.Sub(name), i+1, withoutPackage(err))
		}
	}
	return urls, nil
}
