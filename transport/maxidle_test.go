package transport_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/pool"
)

// Over MaxIdleConns the connection that was idle for the longest makes room.
func TestMaxIdleConnsEvictsTheOldest(t *testing.T) {
	var target atomic.Value
	var dials atomic.Int64
	settings := func(tr *http.Transport) {
		tr.MaxIdleConns = 2
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, target.Load().(string))
		}
		if tr.TLSClientConfig != nil {
			tr.TLSClientConfig.ServerName = "example.com"
		}
	}
	everywhere1(t, sized, func(s *story) {
		target.Store(s.server.Listener.Addr().String())
		for _, visit := range []struct {
			host  string
			dials int64
		}{{"a", 1}, {"b", 1}, {"a", 0}, {"c", 1}, {"a", 0}, {"c", 0}, {"b", 1}, {"c", 0}, {"a", 1}} {
			before := dials.Load()
			req := s.request(http.MethodGet, "/10", nil)
			req.URL.Host = visit.host + ".example"
			s.read(s.send(req))
			assert.Equal(s, visit.dials, dials.Load()-before, "%+v", visit)
			if s.ours != nil {
				assert.LessOrEqual(s, s.ours.Stats().Idle, 2)
			}
		}
	}, settings)
}

// Negative, neither MaxIdleConns nor MaxIdleConnsPerHost lets a connection be kept.
func TestNegativeMaxIdleConnsKeepsNone(t *testing.T) {
	for name, setting := range map[string]setting{
		"MaxIdleConns":        func(tr *http.Transport) { tr.MaxIdleConns, tr.MaxIdleConnsPerHost = -1, 5 },
		"MaxIdleConnsPerHost": func(tr *http.Transport) { tr.MaxIdleConns, tr.MaxIdleConnsPerHost = 5, -1 },
	} {
		t.Run(name, func(t *testing.T) {
			everywhere1(t, sized, func(s *story) {
				for i := range 3 {
					s.read(s.send(s.request(http.MethodGet, "/10", nil)))
					s.wantDials(int64(i + 1))
					if s.ours != nil {
						assert.Zero(s, s.ours.Stats().Idle)
					}
				}
			}, setting)
		})
	}
}

// CloseIdleConnections lets a connection in use go on, and has it closed as it becomes idle; the next request ends that.
func TestCloseIdleConnectionsInUse(t *testing.T) {
	ours(t, sized, func(s *story) {
		open := s.get("/1000000")
		s.ours.CloseIdleConnections()
		assert.Len(s, s.read(open), 1000000)
		s.eventually("closed", func() bool { return s.ours.Stats().Closes[pool.IdleClosed] == 1 })
		s.read(s.get("/10"))
		s.eventually("idle", func() bool { return s.ours.Stats().Idle == 1 })
		s.read(s.get("/10"))
		s.wantDials(2)
	})
}
