package leaktest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

func TestInABubble(t *testing.T) { testInABubble(t) }

// A report says what has become of the connection: it waits, it went on when the rest of a small body had arrived, or it
// ended with its server.
func TestWhatBecameOfTheConnection(t *testing.T) {
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
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	tr := client.Transport.(*transport.Transport)
	neverClosed(client, server.URL)
	assert.ErrorContains(t, leaktest.Find(tr), "0 of 1000 bytes read")
	assert.ErrorContains(t, leaktest.Find(tr), "it holds a connection")
	close(rest)
	within(t, "arrived", func() bool { return strings.Contains(leaktest.Find(tr).Error(), "it had arrived") })
	assert.Contains(t, d.finish(), "it had arrived")

	ends := badserver.Start(t, badserver.Script{
		badserver.ReadRequest{}, badserver.Write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("a", 20000)), badserver.FIN{},
	})
	d = &double{TB: t}
	client = leaktest.NewClient(d)
	tr = client.Transport.(*transport.Transport)
	neverClosed(client, ends.URL)
	within(t, "gone", func() bool { return tr.Stats().Open == 0 })
	assert.ErrorContains(t, leaktest.Find(tr), "its connection is closed already")
	require.Contains(t, d.finish(), "its connection is closed already")
}
