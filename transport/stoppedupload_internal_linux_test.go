package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A meddler does something when the deadline of its Reads is taken away.
type meddler struct {
	net.Conn
	meddle func()
}

func (m meddler) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		m.meddle()
	}
	return m.Conn.SetReadDeadline(t)
}

// A Close that comes while the part of an answer that is here is kept ends the exchange as any other: nothing of it stays in memory.
func TestCloseMeetsAStoppedUpload(t *testing.T) {
	const part = 100000 // more than the buffer takes
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{}, badserver.Write("HTTP/1.1 413 Too Large\r\n\r\n" + strings.Repeat("x", part)), badserver.Stall{},
	})
	tr := new(Transport)
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	b := resp.Body.(*streamBody)
	sock, met := b.s.conn.sock(), make(chan struct{})
	sock.Conn = meddler{sock.Conn, func() {
		assert.NoError(t, b.Close())
		close(met)
	}}
	require.NoError(t, w.CloseWithError(errors.New("the caller stopped")))
	<-met
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, 10*time.Second, time.Millisecond)
	assert.Eventually(t, func() bool { return tr.core.Load().absorbed.held.Load() == 0 }, time.Second, time.Millisecond, "bytes are kept")
	require.NoError(t, tr.Close())
}

// What has arrived behind a head that was read before its upload ended is kept, whether or not somebody looked for it meanwhile.
func TestUploadEndsBeforeTheRestIsLookedFor(t *testing.T) {
	goOn := make(chan struct{})
	server := badserver.Start(t, badserver.Script{
		badserver.ReadHead{}, badserver.Write("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n"),
		badserver.Wait(goOn), badserver.Write("the answer"), badserver.Stall{},
	})
	tr := new(Transport)
	r, w := io.Pipe()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		close(goOn)
		for hc := range tr.core.Load().leased() {
			assert.Eventually(t, hc.sock().hasUnread, 10*time.Second, time.Millisecond)
			_ = w.CloseWithError(errors.New("the caller stopped"))
			assert.Eventually(t, hc.h.Aborted, 10*time.Second, time.Millisecond)
		}
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, r)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	assert.Equal(t, "the answer", string(got))
	assert.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, tr.Close())
}
