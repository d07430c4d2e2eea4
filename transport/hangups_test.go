//go:build linux

package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// A server hangs up after a request got its connection and before it is written: nobody can have seen the request, and it is sent
// on another connection, whatever its method, and once.
func TestHangupBetweenAcquireAndWrite(t *testing.T) {
	for _, https := range []bool{false, true} {
		server := startRaw(t, https)
		tr := &transport.Transport{TLSClientConfig: server.config}
		defer tr.Close()
		served := make(chan struct{})
		hangup := make(chan struct{})
		go func() {
			defer close(served)
			first := <-server.conns
			answer(t, bufio.NewReader(first), first, okResponse)
			<-hangup
			assert.NoError(t, first.Close())
			second := <-server.conns
			answer(t, bufio.NewReader(second), second, okResponse)
			defer second.Close()
		}()
		require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
		hung := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if hung {
				return
			}
			assert.True(t, i.Reused)
			hung = true
			close(hangup)
			require.Eventually(t, func() bool { return tr.Hangups() == 1 }, patience, tick)
			assert.Equal(t, sockstat.Counts{sockstat.CloseWait: 1}, sockstat.Count(socketsTo(t, server.url())))
		}})
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url(), strings.NewReader("once"))
		require.NoError(t, err)
		req.GetBody = nil
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.EqualValues(t, 2, tr.Stats().Dials)
		assert.EqualValues(t, 1, tr.Stats().Retries)
		<-served
	}
}

// A lateContext calls late when somebody asks how to wait for it, which an exchange does in the moment before it writes its request.
type lateContext struct {
	context.Context
	late func()
}

func (c lateContext) Done() <-chan struct{} {
	c.late()
	return c.Context.Done()
}

// The same in the moment in which the request is written, where what is at hand is looked at and written in one turn: with a body or
// without, of which nothing is lost, and of any size and kind.
func TestHangupBeforeTheWrite(t *testing.T) {
	ends := map[string]func(*net.TCPConn){"bytes": func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n") }}
	maps.Copy(ends, endings)
	bodies := map[string]func() io.Reader{
		"none":                 func() io.Reader { return nil },
		"a string":             func() io.Reader { return strings.NewReader("once") },
		"bytes":                func() io.Reader { return bytes.NewReader([]byte("once")) },
		"a buffer":             func() io.Reader { return bytes.NewBufferString("once") },
		"as large as a buffer": func() io.Reader { return strings.NewReader(strings.Repeat("once", 2<<10)) },
		"large":                func() io.Reader { return strings.NewReader(strings.Repeat("once", 20<<10)) },
		"a stream": func() io.Reader {
			r, w := io.Pipe()
			go func() {
				_, _ = io.WriteString(w, "once")
				_ = w.Close()
			}()
			return r
		},
	}
	for how, end := range ends {
		for kind, body := range bodies {
			t.Run(how+", body "+kind, func(t *testing.T) { testHangupBeforeTheWrite(t, end, body) })
		}
	}
}

func testHangupBeforeTheWrite(t *testing.T, end func(*net.TCPConn), body func() io.Reader) {
	var want []byte
	if r := body(); r != nil {
		want, _ = io.ReadAll(r)
	}
	server := startRaw(t, false)
	tr := new(transport.Transport)
	defer tr.Close()
	first := make(chan net.Conn, 1)
	got := make(chan string, 1)
	go func() {
		c := <-server.conns
		answer(t, bufio.NewReader(c), c, okResponse)
		first <- c
		second := <-server.conns
		defer second.Close()
		req, err := http.ReadRequest(bufio.NewReader(second))
		if err != nil {
			got <- err.Error()
			return
		}
		text, err := io.ReadAll(req.Body)
		got <- fmt.Sprint(string(text), err)
		_, _ = io.WriteString(second, okResponse)
		_, _ = io.Copy(io.Discard, second)
	}()
	require.NoError(t, mustGet(t, tr, server.url()).Body.Close())
	ended := false
	ctx := lateContext{t.Context(), func() {
		if ended || tr.Stats().Idle > 0 {
			return
		}
		ended = true
		c := <-first
		t.Cleanup(func() { _ = c.Close() })
		end(c.(*net.TCPConn))
		require.Eventually(t, func() bool {
			left := socketsTo(t, server.url())
			return len(left) == 0 || left[0].State == sockstat.CloseWait || left[0].Unread > 0
		}, patience, tick)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url(), body())
	require.NoError(t, err)
	req.GetBody = nil
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.True(t, ended)
	assert.Equal(t, fmt.Sprint(string(want), nil), <-got)
	assert.EqualValues(t, 2, tr.Stats().Dials)
	assert.Zero(t, tr.Stats().Retries, "nothing was written")
}
