package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/pool"
	"github.com/watertight-go/watertight/transport"
)

// hosts tells a story in a bubble in which all hosts are one server.
func hosts(t *testing.T, handler http.HandlerFunc, set func(*transport.Transport), tell func(t *testing.T, tr *transport.Transport, visit func(host int, path string) *http.Response)) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("all")
		require.NoError(t, err)
		server := &http.Server{Handler: handler}
		go func() { _ = server.Serve(l) }()
		tr := &transport.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return n.DialContext(ctx, network, "all")
		}}
		set(tr)
		tell(t, tr, func(host int, path string) *http.Response {
			t.Helper()
			return mustGet(t, tr, fmt.Sprintf("http://host%d.example%s", host, path))
		})
		require.NoError(t, tr.Close())
		require.NoError(t, server.Close())
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
	})
}

// A crawler visits very many hosts once. What is known of them is bounded by MaxIdleConns, and nothing of them stays: no connection, a hundred
// origins in Stats, no memory.
func TestManyHosts(t *testing.T) {
	const n, maxIdle, remembered = 4000, 20, 100
	hosts(t, sized, func(tr *transport.Transport) {
		tr.MaxIdleConns, tr.MaxConnsPerHost, tr.IdleConnTimeout = maxIdle, 2, time.Minute
	}, func(t *testing.T, tr *transport.Transport, visit func(int, string) *http.Response) {
		crawl := func(first, n int) {
			for i := range n {
				resp := visit(first+i, []string{"/0", "/10", "/20000"}[i%3])
				if i%2 == 0 {
					_, err := drain(resp)
					require.NoError(t, err)
				}
				require.NoError(t, resp.Body.Close())
			}
			synctest.Wait()
			assert.LessOrEqual(t, len(tr.Stats().Origins), maxIdle+remembered)
			assert.LessOrEqual(t, tr.Stats().Open, maxIdle)
			time.Sleep(2 * time.Minute)
			assert.Len(t, tr.Stats().Origins, remembered)
			assert.Zero(t, tr.Stats().Open)
		}
		crawl(0, n/4)
		before := heapInUse()
		crawl(n/4, n)
		assert.Less(t, heapInUse()-before, int64(n*200), "something of each host is left")
		runtime.KeepAlive(tr)
	})
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what was in a sync.Pool lives for two
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Connections end between 90 and 100 per cent of MaxConnLifetime, not all together, idle or not used again; one whose response is still
// being read ends after it.
func TestMaxConnLifetime(t *testing.T) {
	const n = 40
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write(pattern(20000))
			w.(http.Flusher).Flush()
			time.Sleep(3 * time.Minute)
		}
	}
	hosts(t, handler, func(tr *transport.Transport) { tr.MaxConnLifetime = 100 * time.Second },
		func(t *testing.T, tr *transport.Transport, visit func(int, string) *http.Response) {
			for i := range n {
				require.NoError(t, visit(i, "/").Body.Close())
			}
			long := visit(n, "/long")
			closed := func() int64 {
				synctest.Wait()
				return tr.Stats().Closes[pool.Lifetime]
			}
			for range 8 { // or they would be idle for too long
				time.Sleep(11 * time.Second)
				for i := range n {
					require.NoError(t, visit(i, "/").Body.Close())
				}
			}
			assert.Zero(t, closed())
			time.Sleep(7 * time.Second) // 95 s
			some := closed()
			assert.Greater(t, some, int64(5))
			assert.Less(t, some, int64(n-5))
			time.Sleep(6 * time.Second)
			assert.EqualValues(t, n, closed())
			_, err := drain(long)
			require.NoError(t, err)
			assert.EqualValues(t, n+1, closed())
			assert.EqualValues(t, n+1, tr.Stats().Dials)
		})
}

// drain reads a body to its end and closes it.
func drain(resp *http.Response) (int64, error) {
	n, err := io.Copy(io.Discard, resp.Body)
	return n, errors.Join(err, resp.Body.Close())
}
