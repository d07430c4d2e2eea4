package reaper

import "errors"

// What watches and probes tell about a connection. Compare with [errors.Is]: the value may be wrapped to say more.
var (
	// ErrHangup means that the peer will send nothing more: its FIN arrived (RFC 9293, section 3.6), by a close
	// or a half-close, or the other end of a Unix socket was closed.
	ErrHangup = errors.New("reaper: peer hung up")
	// ErrReset means that the connection exists no longer: the peer reset it (RFC 9293, section 3.5.2), or the system on
	// this side gave it up because the peer did not answer (keep-alive, TCP_USER_TIMEOUT).
	ErrReset = errors.New("reaper: connection reset")
	// ErrUnexpectedData means that bytes lie in the socket, whether or not a hang-up lies behind them. Only a probe
	// tells of them.
	ErrUnexpectedData = errors.New("reaper: unexpected data")
)
