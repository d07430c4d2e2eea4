package reaper

import "errors"

var (
	// ErrHangup means that the peer closed its side: a FIN arrived, and nothing will follow it.
	ErrHangup = errors.New("reaper: peer hung up")
	// ErrReset means that the connection was reset.
	ErrReset = errors.New("reaper: connection reset")
	// ErrUnexpectedData means that bytes lie in the socket that nobody asked for.
	ErrUnexpectedData = errors.New("reaper: unexpected data")
)
