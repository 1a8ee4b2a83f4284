package devnet

import "syscall"

// childAttr makes a child die with its parent, so that a parent that is killed
// leaves nothing running.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
