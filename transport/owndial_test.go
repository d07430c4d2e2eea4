package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With DisableKeepAlives the values of a request's context say by which connection it is sent, as with net/http: programs tell their
// dialer by them which address, or which account with a proxy, a request is to have. So nobody gets a connection that was dialed for
// another, however many wait and whichever is done first.
func TestDisableKeepAlivesGivesEachItsOwnDial(t *testing.T) {
	const n = 8
	var dial func(ctx context.Context, network, addr string) (net.Conn, error)
	everywhere(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }, func(s *story) {
		type end struct {
			number int
			addr   string
			err    error
		}
		began, dialed, answered := make(chan int, n), make(chan end, n), make(chan end, n)
		var proceed [n]chan struct{}
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			i := ctx.Value(dialKey{}).(int)
			began <- i
			<-proceed[i]
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				dialed <- end{number: i, addr: nc.LocalAddr().String()}
			}
			return nc, err
		}
		for i := range n {
			proceed[i] = make(chan struct{})
			req := s.request(http.MethodGet, "/", nil)
			req = req.WithContext(context.WithValue(req.Context(), dialKey{}, i))
			go func() {
				resp, err := s.rt.RoundTrip(req)
				if err != nil {
					answered <- end{i, "", err}
					return
				}
				addr, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				answered <- end{i, string(addr), err}
			}()
			require.Equal(s, i, <-began)
		}
		for i := n - 1; i >= 0; i-- { // the youngest first
			close(proceed[i])
			assert.Equal(s, <-dialed, <-answered)
		}
	}, func(tr *http.Transport) {
		tr.DisableKeepAlives = true
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) }
	})
}
