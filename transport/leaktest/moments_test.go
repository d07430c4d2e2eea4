package leaktest_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
			within(t, "hung up", func() bool { return tr.Stats().Open == 0 })
		},
		func(tr *transport.Transport, _ **http.Response, _ func()) {
			close(rest)
			within(t, "arrived", func() bool { return tr.Stats().Idle == 1 })
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
