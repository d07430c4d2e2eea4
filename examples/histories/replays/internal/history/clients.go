package history

import (
	"net"
	"net/http"
)

// The clients that most histories compare, by the name of their transport.
const (
	Std  = "http.Transport"
	Ours = "transport.Transport"
)

// Announce tells the process that started a server on which port it is reached, serves, and returns when that process wants it to end.
func (p *Peer) Announce(l net.Listener, server *http.Server) error {
	go func() { _ = server.Serve(l) }()
	if err := p.Send(l.Addr().(*net.TCPAddr).Port); err != nil {
		return err
	}
	err := p.Wait()
	_ = server.Close()
	return err
}
