//go:build !race

// The race detector makes sync.Pool drop some of what it is given.

package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// listening is what it costs more to wait on an idle connection with a Read, in a goroutine, and to end that.
const listening = 11

// An exchange allocates so often, no more, and never more often than net/http. What is allocated shows in a program's collections
// for as long as it runs, and a number says exactly when there is more of it, on any machine.
func TestAllocationsOfAnExchange(t *testing.T) {
	large := strings.Repeat("x", 64<<10)
	for _, row := range []struct {
		name   string
		upload int
		answer string // behind the status line and a Date
		ctx    bool   // the request has a context of its own that can end
		want   float64
		https  float64 // TLS allocates for each record that is read, by the server, by us, and when we look at an idle connection
	}{
		{"GET 13 B", 0, "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!", false, 4, 7},
		{"GET 13 B, a fresh context", 0, "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!", true, 9, 12},
		{"GET 4 KiB", 0, "Content-Type: text/plain\r\nContent-Length: 4096\r\n\r\n" + large[:4<<10], false, 4, 7},
		{"GET 4 KiB in chunks", 0, "Transfer-Encoding: chunked\r\n\r\n1000\r\n" + large[:4<<10] + "\r\n0\r\n\r\n", false, 5, 8},
		{"GET 64 KiB", 0, "Content-Length: 65536\r\n\r\n" + large, false, 10, 14},
		{"GET 204", 0, "X-Made-Up: yes\r\n\r\n", false, 4, 7},
		{"POST 1 KiB", 1 << 10, "Content-Length: 2\r\n\r\nok", false, 5, 8},
		{"POST 64 KiB", 64 << 10, "Content-Length: 2\r\n\r\nok", false, 9, 13},
	} {
		for _, https := range []bool{false, true} {
			t.Run(row.name+map[bool]string{true: " https"}[https], func(t *testing.T) {
				status := "HTTP/1.1 200 OK\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
				if strings.Contains(row.name, "204") {
					status = strings.Replace(status, "200 OK", "204 No Content", 1)
				}
				server := startRaw(t, https)
				go func() {
					for c := range server.conns {
						go repeat(c, []byte(status+row.answer), row.upload)
					}
				}()
				ours := &transport.Transport{TLSClientConfig: server.config}
				defer func() { assert.NoError(t, ours.Close()) }()
				std := &http.Transport{TLSClientConfig: server.config.Clone(), MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}
				defer std.CloseIdleConnections()
				got, peer := allocations(t, ours, server.url(), row.upload, row.ctx), allocations(t, std, server.url(), row.upload, row.ctx)
				t.Logf("%v, net/http %v", got, peer)
				want := row.want
				if https {
					want = row.https
				}
				if runtime.GOOS == "windows" {
					want += listening
				}
				assert.LessOrEqual(t, got, want)
				assert.LessOrEqual(t, got, peer)
			})
		}
	}
}

// repeat answers each request with the same bytes, and allocates nothing.
func repeat(c net.Conn, answer []byte, upload int) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := r.Discard(upload); err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// allocations returns how many an exchange makes, its request and context aside.
func allocations(t *testing.T, rt http.RoundTripper, url string, upload int, own bool) float64 {
	body := bytes.Repeat([]byte("x"), upload)
	method := http.MethodGet
	if upload > 0 {
		method = http.MethodPost
	}
	buf := make([]byte, 32<<10)
	prepare := func() (*http.Request, context.CancelFunc) {
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		if own {
			ctx, cancel = context.WithCancel(context.Background())
		}
		req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
		require.NoError(t, err)
		return req, cancel
	}
	exchange := func() {
		req, cancel := prepare()
		defer cancel()
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, resp.Body.Close())
	}
	for range 10 {
		exchange()
	}
	without := testing.AllocsPerRun(1000, func() {
		_, cancel := prepare()
		cancel()
	})
	return testing.AllocsPerRun(1000, exchange) - without
}
