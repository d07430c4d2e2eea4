//go:build linux

package sockstat

// Both returns all sockets by either source.
func Both() (byNetlink, byProc []Socket, err error) {
	if byNetlink, err = netlinkSockets(); err == nil {
		byProc, err = procSockets()
	}
	return byNetlink, byProc, err
}
