package reaper

import "net"

// Probe looks at the socket of an idle connection without taking anything out: nil if there is nothing to see,
// [ErrUnexpectedData] if bytes lie there, [ErrHangup] or [ErrReset] if the peer is gone and left no bytes. The error wraps
// [errors.ErrUnsupported] where conn has no descriptor or the system no means. To probe one connection often, use a [Prober].
func Probe(conn net.Conn) error {
	p, err := NewProber(conn)
	if err != nil {
		return err
	}
	return p.Probe()
}
