package bench_test

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/watertight-go/watertight/reaper"
)

// latencies is the answer to "hang up".
type latencies struct {
	P50, P99 time.Duration
	Left     int // connections whose client had not closed after patience
}

// patience is how long clients have to close.
const patience = 5 * time.Second

// A peer is the client's side of a connection that is hung up on.
type peer struct {
	conn   net.Conn
	hungUp time.Time
	took   time.Duration
	watch  reaper.Watch
	gone   chan struct{} // closed when the client has closed
}

// HungUp is called when the client has closed.
func (p *peer) HungUp(error) {
	p.took = time.Since(p.hungUp)
	close(p.gone)
}

// hangUp ends our direction of every connection, all at once or each when the client has closed the one before. Nobody reads from them
// any more: of what this process does meanwhile there is no more than a note of each end, lest it takes from the client what is measured.
func (s *rawServer) hangUp(atOnce bool) (latencies, error) {
	peers, err := s.takeOver()
	if err != nil {
		return latencies{}, err
	}
	var watcher reaper.Reaper
	for _, p := range peers {
		if err := watcher.Watch(&p.watch, p.conn, p); err != nil {
			return latencies{}, err
		}
		defer p.watch.Stop()
	}
	defer runtime.KeepAlive(&watcher)
	for _, p := range peers {
		p.hungUp = time.Now()
		if err := fin(p.conn); err != nil {
			return latencies{}, err
		}
		if !atOnce {
			p.isGone(time.After(patience))
		}
	}
	deadline := time.After(patience)
	var took []time.Duration
	for _, p := range peers {
		if !p.isGone(deadline) {
			break
		}
		took = append(took, p.took)
	}
	slices.Sort(took)
	l := latencies{Left: len(peers) - len(took)}
	if n := len(took); n > 0 {
		l.P50, l.P99 = took[n/2], took[n*99/100]
	}
	return l, nil
}

// takeOver ends the goroutines that serve, and returns their connections.
func (s *rawServer) takeOver() (peers []*peer, err error) {
	s.mu.Lock()
	for c := range s.conns {
		peers = append(peers, &peer{conn: c, gone: make(chan struct{})})
		err = errors.Join(err, c.SetReadDeadline(time.Unix(1, 0)))
	}
	s.mu.Unlock()
	s.serving.Wait()
	return peers, err
}

// isGone waits for the client's end.
func (p *peer) isGone(deadline <-chan time.Time) bool {
	select {
	case <-p.gone:
		return true
	case <-deadline:
		return false
	}
}

// fin ends our direction, beneath TLS too.
func fin(c net.Conn) error {
	if tc, ok := c.(*tls.Conn); ok {
		return errors.Join(tc.CloseWrite(), tc.NetConn().(*net.TCPConn).CloseWrite())
	}
	return c.(*net.TCPConn).CloseWrite()
}
