package leaktest_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

func TestInABubble(t *testing.T) { testInABubble(t) }

// The report is the same whatever becomes of the connection: whether the body is still coming, has arrived since, was dropped and
// found by the collector, or the server has hung up. And it is the same where the request's context has ended.
func TestMomentsMakeNoDifference(t *testing.T) {
	rest := make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, strings.Repeat("a", 500))
		w.(http.Flusher).Flush()
		select {
		case <-rest:
			_, _ = io.WriteString(w, strings.Repeat("b", 500))
		case <-r.Context().Done():
		}
	}, false)
	const seen = runtime.GOOS != "windows" // where only a Read tells of what happens behind an open body
	reports := map[string]bool{}
	for _, moment := range []func(tr *transport.Transport, resp **http.Response, cancel func()){
		func(*transport.Transport, **http.Response, func()) {},
		func(tr *transport.Transport, resp **http.Response, _ func()) {
			*resp = nil
			within(t, "collected", func() bool { runtime.GC(); return tr.Stats().Leaks[transport.Dropped] == 1 })
		},
		func(_ *transport.Transport, _ **http.Response, cancel func()) { cancel() },
		func(tr *transport.Transport, _ **http.Response, _ func()) {
			server.CloseClientConnections()
			if seen {
				within(t, "hung up", func() bool { return tr.Stats().Open == 0 })
			}
		},
		func(tr *transport.Transport, _ **http.Response, _ func()) {
			close(rest)
			if seen {
				within(t, "arrived", func() bool { return tr.Stats().Idle == 1 })
			}
		},
	} {
		d := &double{TB: t}
		tr := leaktest.NewTransport(d)
		tr.Logger = slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		resp, err := (&http.Client{Transport: tr}).Do(req)
		require.NoError(t, err)
		moment(tr, &resp, cancel)
		reports[age.ReplaceAllString(d.finish(), "")] = true
		runtime.KeepAlive(resp)
		cancel()
	}
	assert.Len(t, reports, 1)
}

// A Transport that was used in a bubble is looked at from outside of it, where nothing of the bubble's may be touched.
func TestABubbleThatHasEnded(t *testing.T) {
	for name, path := range map[string]string{"arrived": "/10", "streaming": "/100000"} {
		t.Run(name, func(t *testing.T) {
			d := &double{TB: t}
			tr := leaktest.NewTransport(d)
			synctest.Test(t, func(t *testing.T) {
				var n memnet.Network
				l, err := n.Listen("a.example:80")
				require.NoError(t, err)
				server := &http.Server{Handler: http.HandlerFunc(bytesOf)}
				go func() { _ = server.Serve(l) }()
				tr.DialContext = n.DialContext
				neverClosed(&http.Client{Transport: tr}, "http://a.example"+path)
				require.NoError(t, server.Close())
				require.NoError(t, tr.Close())
			})
			require.ErrorContains(t, leaktest.Find(tr), "1 response body leaked")
			report := d.finish()
			assert.Contains(t, report, "1 response body leaked")
			assert.NotContains(t, report, " old")
		})
	}
}
