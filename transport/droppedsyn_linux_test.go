package transport_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A fullListener is one whose queue is full: the kernel drops every further SYN.
type fullListener struct {
	net.Listener
	filling net.Conn // the one that fills it
}

func listenFull(t *testing.T) *fullListener {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0)) // a queue for one
	l := &fullListener{}
	l.Listener, err = net.FileListener(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	l.filling, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.filling.Close() })
	require.Eventually(t, func() bool {
		all, err := sockstat.List(sockstat.Filter{LocalPort: mustPort(t, l.url()), States: []sockstat.State{sockstat.Listen}})
		return err == nil && len(all) == 1 && all[0].Unread == 1
	}, patience, tick)
	return l
}

func (l *fullListener) url() string { return "http://" + l.Addr().String() }

// serve begins to accept, and with that to let others in.
func (l *fullListener) serve(t *testing.T) {
	first, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, first.Close())
	server := &http.Server{Handler: http.HandlerFunc(sized)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		assert.ErrorIs(t, <-served, http.ErrServerClosed)
	})
}

// sockets returns our other sockets to the listener.
func (l *fullListener) sockets(t *testing.T) sockstat.Counts {
	own := l.filling.LocalAddr().String()
	return sockstat.Count(slices.DeleteFunc(socketsTo(t, l.url()), func(s sockstat.Socket) bool { return s.Local.String() == own }))
}

// A server that answers no SYN costs a request no more than its context or the dialer's timeout says. The dial goes on for the next request as
// long as the dialer lets it, and not behind Close; others are served meanwhile, and so is the next request once the server answers.
func TestDroppedSYN(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(sized))
	t.Cleanup(other.Close)
	for name, tt := range map[string]struct {
		dial, request time.Duration
		says          string // of the address
	}{
		"the context ends first": {1500 * time.Millisecond, 100 * time.Millisecond, "context deadline exceeded"},
		"the dialer ends first":  {100 * time.Millisecond, patience, "dial tcp %s: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := listenFull(t)
			var serving atomic.Bool
			tr := &transport.Transport{MaxConnsPerHost: 1, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialer := net.Dialer{Timeout: tt.dial}
				if addr != l.Addr().String() || serving.Load() {
					dialer.Timeout = patience
				}
				return dialer.DialContext(ctx, network, addr)
			}}
			defer func() { assert.NoError(t, tr.Close()) }()
			ctx, cancel := context.WithTimeout(t.Context(), tt.request)
			defer cancel()
			begin, returned := time.Now(), make(chan error, 1)
			go func() {
				_, err := tryFetch(ctx, tr, l.url(), nil)
				returned <- err
			}()
			require.Eventually(t, func() bool { return l.sockets(t)[sockstat.SynSent] == 1 || len(returned) == 1 }, patience, tick)
			require.NoError(t, mustGet(t, tr, other.URL+"/10").Body.Close())
			err := <-returned
			assert.Less(t, time.Since(begin), patience)
			assert.True(t, isTimeout(err), "%v", err)
			assert.EqualError(t, err, strings.Replace(tt.says, "%s", l.Addr().String(), 1))
			require.Eventually(t, func() bool {
				st := tr.Stats()
				return st.Dialing == 0 && st.Waiting == 0 && st.Leased == 0 && len(l.sockets(t)) == 0
			}, patience, tick)
			assert.EqualValues(t, 1, tr.Stats().DialErrors)

			serving.Store(true)
			l.serve(t)
			got, err := tryFetch(t.Context(), tr, l.url()+"/10", nil)
			require.NoError(t, err)
			assert.Len(t, got, 10)
		})
	}
}

// Close ends a dial whose SYN nobody answers, and the request that waits for it. The dialer alone would take half a minute.
func TestDroppedSYNAndClose(t *testing.T) {
	l := listenFull(t)
	tr := &transport.Transport{}
	returned := make(chan error, 1)
	go func() {
		_, err := tryFetch(t.Context(), tr, l.url(), nil)
		returned <- err
	}()
	require.Eventually(t, func() bool { return l.sockets(t)[sockstat.SynSent] == 1 }, patience, tick)
	begin := time.Now()
	require.NoError(t, tr.Close())
	assert.Less(t, time.Since(begin), patience)
	assert.Empty(t, l.sockets(t))
	assert.Zero(t, tr.Stats().Dialing)
	select {
	case err := <-returned:
		assert.ErrorIs(t, err, transport.ErrClosed)
	case <-time.After(patience):
		t.Fatal("the request hangs")
	}
	l.serve(t)
	again := tr.Clone()
	defer again.Close()
	got, err := tryFetch(t.Context(), again, l.url()+"/10", nil)
	require.NoError(t, err)
	assert.Len(t, got, 10)
}
