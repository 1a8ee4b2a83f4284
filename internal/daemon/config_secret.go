package daemon

import (
	"fmt"
	"os"
	"strings"
)

// What the tag "secret" says of a key: which part of its value may be one.
const (
	secretURL    = "url"    // all but the scheme and the host
	secretHeader = "header" // what stands behind the name
)

// hidden stands where something is not shown.
const hidden = "…"

// shown is the key's value as the config is shown: to whoever may read, and in
// archives that are sent to others.
func (f field) shown(c *Config) string {
	v := f.in(c).Interface()
	switch f.secret {
	case secretURL:
		return hideURL(textOf(v))
	case secretHeader:
		lines, _ := v.([]string)
		out := make([]string, len(lines))
		for i, line := range lines {
			name, _, ok := strings.Cut(line, ":")
			if !ok {
				name = hidden
			}
			out[i] = name + ": " + hidden
		}
		return textOf(out)
	}
	return textOf(v)
}

// hideURL shows of an address, which may be NAME@… as a page's, the scheme and
// the host: the keys of providers are in the path, the query or a user's part.
func hideURL(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	} else {
		scheme += "://"
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, tail := rest[:end], rest[end:]
	if tail != "" && tail != "/" {
		tail = "/" + hidden
	}
	if name, page, ok := strings.Cut(scheme, "@"); ok { // NAME@ws://…
		return name + "@" + hideURL(page+host) + tail
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 && scheme != "" {
		host = hidden + host[at:]
	}
	return scheme + host + tail
}

// openToOthers says what is wrong with a config that holds a secret, where
// others can use the file; nil: nothing, or it is no file.
func openToOthers(path string) error {
	info, err := os.Stat(path)
	if path == "" || err != nil || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return fmt.Errorf("the config can be read by others (mode %04o); run: chmod 600 %s", info.Mode().Perm(), path)
}

// guard refuses a file that others can use, if it says what is to be sent as a
// header: that is a secret more often than not.
func (c *Config) guard(path string, p *problems) {
	for _, f := range fields() {
		if f.secret != secretHeader || c.origins[f.key] == "" {
			continue
		}
		if err := openToOthers(path); err != nil {
			p.bad("%s may be a secret, and %w", f.key, err)
		}
	}
}
