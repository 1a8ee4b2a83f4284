package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What a disk has to have free: the ledger stops writing below the first.
const (
	leastFree = 128 << 20
	goodFree  = 2 << 30
)

// checkDatadir looks at the folder, its mode, its lock and whether it takes writes.
func checkDatadir(in Input) []Result {
	dir := in.Datadir
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Result{{CheckDatadir, Warn, fmt.Sprintf("%s does not exist yet; it is made at the first start", dir), `run "starling init" to make it, if that was not meant`}}
	case err != nil:
		return []Result{{CheckDatadir, Fail, err.Error(), "make the folder usable for this user, or choose another datadir"}}
	case !info.IsDir():
		return []Result{{CheckDatadir, Fail, dir + " is no folder", "choose another datadir"}}
	case info.Mode().Perm()&0o002 != 0:
		return []Result{{CheckDatadir, Fail, fmt.Sprintf("%s can be written by everybody (mode %04o)", dir, info.Mode().Perm()), "run: chmod 700 " + dir}}
	case in.Foreign != "":
		return []Result{{CheckDatadir, Fail, in.Foreign, "choose the folder that the node was run in, or an empty one"}}
	}
	out := []Result{{Check: CheckDatadir, Level: OK, Detail: fmt.Sprintf("%s is there (mode %04o) and takes writes", dir, info.Mode().Perm())}}
	if err := tryWrite(dir); err != nil {
		out[0] = Result{CheckDatadir, Fail, "a file cannot be written there: " + err.Error(), remedyFor(err)}
	}
	switch {
	case in.Node != nil:
		out = append(out, Result{Check: CheckLock, Level: OK, Detail: "the node that runs holds the datadir"})
	case in.Locked:
		out = append(out, Result{CheckLock, Fail, "another process holds the datadir, and no node answers on its socket", "stop that process (fuser " + filepath.Join(dir, "LOCK") + " names it), or choose another datadir"})
	default:
		out = append(out, Result{Check: CheckLock, Level: OK, Detail: "nobody holds the datadir: no node runs"})
	}
	return out
}

// tryWrite writes a file and removes it.
func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func remedyFor(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "the disk is full: make room on it"
	case errors.Is(err, unix.EROFS):
		return "the disk is mounted read-only: look into the kernel's log, it may be failing"
	case errors.Is(err, fs.ErrPermission):
		return "give the folder to the user that runs the node (chown)"
	}
	return "look at the disk and into the kernel's log"
}

// checkDisk looks at the room that is left.
func checkDisk(in Input, env Env) Result {
	dir := in.Datadir
	for i := 0; i < 64; i++ { // the nearest folder that exists
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, total, err := env.Space(dir)
	switch {
	case err != nil:
		return Result{CheckDisk, Warn, "the room on the disk is not known: " + err.Error(), "look at it with df"}
	case free < min(leastFree, total/4):
		return Result{CheckDisk, Fail, fmt.Sprintf("the disk is full: %s are free of %s", size(free), size(total)), fmt.Sprintf("make room on the disk of %s: below %s nothing is stored; the node goes on by itself", in.Datadir, size(min(leastFree, total/4)))}
	case free < min(goodFree, total/4):
		return Result{CheckDisk, Warn, fmt.Sprintf("%s are free of %s", size(free), size(total)), "make room before it is full"}
	}
	return Result{Check: CheckDisk, Level: OK, Detail: fmt.Sprintf("%s are free of %s", size(free), size(total))}
}

func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func space(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// checkKey looks at a key file, and not into it.
func checkKey(k Key) Result {
	info, err := os.Lstat(k.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && k.Needed:
		return Result{CheckKeys, Fail, fmt.Sprintf("%s is missing: %s", k.What, k.Path), "restore it, or correct its path in the config"}
	case errors.Is(err, fs.ErrNotExist):
		return Result{Check: CheckKeys, Level: OK, Detail: fmt.Sprintf("%s is made at the first start: %s", k.What, k.Path)}
	case err != nil:
		return Result{CheckKeys, Fail, err.Error(), "make it readable for the user that runs the node"}
	case info.Mode()&fs.ModeSymlink != 0:
		return Result{CheckKeys, Fail, k.Path + " is a symbolic link", "name the file itself in the config"}
	case !info.Mode().IsRegular():
		return Result{CheckKeys, Fail, k.Path + " is no file", "name the file in the config"}
	case info.Mode().Perm()&0o077 != 0:
		return Result{CheckKeys, Fail, fmt.Sprintf("%s can be used by others (mode %04o)", k.Path, info.Mode().Perm()), "run: chmod 600 " + k.Path}
	case info.Size() == 0:
		return Result{CheckKeys, Fail, k.Path + " is empty", "restore it; for a new identity, remove it"}
	}
	if dir, err := os.Stat(filepath.Dir(k.Path)); err == nil && dir.Mode().Perm()&0o002 != 0 {
		return Result{CheckKeys, Fail, fmt.Sprintf("the folder of %s can be written by everybody (mode %04o)", k.Path, dir.Mode().Perm()), "run: chmod 700 " + filepath.Dir(k.Path)}
	}
	f, err := os.Open(k.Path)
	if err != nil {
		return Result{CheckKeys, Fail, err.Error(), "give it to the user that runs the node (chown)"}
	}
	f.Close()
	return Result{Check: CheckKeys, Level: OK, Detail: fmt.Sprintf("%s is there, and its owner's alone: %s", k.What, k.Path)}
}

// perPeer is how many files one peer may need at once, and ownFiles what the
// node itself does: the ledger's tables, sockets, logs.
const (
	perPeer  = 2
	ownFiles = 256
)

// CheckFileLimit looks how many files this process may have open.
func CheckFileLimit(maxPeers int, env Env) Result {
	env = env.withDefaults()
	if maxPeers == 0 {
		maxPeers = 50
	}
	have, err := env.Files()
	if err != nil {
		return Result{CheckFiles, Warn, "the limit of open files is not known: " + err.Error(), "look at it with ulimit -n"}
	}
	want := uint64(ownFiles + perPeer*maxPeers)
	remedy := fmt.Sprintf("raise the limit to %d or more: LimitNOFILE in the systemd unit, or ulimit -n; or lower max_peers", 4*want)
	switch {
	case have < want/2:
		return Result{CheckFiles, Fail, fmt.Sprintf("the process may have %d files open; %d peers and the ledger need about %d: connections will be refused", have, maxPeers, want), remedy}
	case have < want:
		return Result{CheckFiles, Warn, fmt.Sprintf("the process may have %d files open; %d peers and the ledger may need %d", have, maxPeers, want), remedy}
	}
	return Result{Check: CheckFiles, Level: OK, Detail: fmt.Sprintf("the process may have %d files open", have)}
}

func files() (uint64, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, err
	}
	return r.Cur, nil
}
