//go:build linux

package sockstat

// Both returns the sockets that a filter selects by either source.
func Both(f Filter) (byNetlink, byProc []Socket, err error) {
	if byNetlink, err = netlinkSockets(f); err == nil {
		byProc, err = procSockets(f)
	}
	return byNetlink, byProc, err
}
