package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// probesInARow returns how often the kernel has doubled its pause between two looks at a window that is full: tcpi_backoff, the
// fifth byte of TCP_INFO. An IPMreq is what package syscall has of a size that holds it.
func probesInARow(t testing.TB, nc net.Conn) int {
	raw, err := nc.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var info *syscall.IPMreq
	require.NoError(t, raw.Control(func(fd uintptr) {
		info, err = syscall.GetsockoptIPMreq(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	}))
	require.NoError(t, err)
	return int(info.Interface[0])
}

// A server that lives but reads nothing, so that its window is full, keeps its connection for as long as UnackedTimeout says, 5 minutes
// by default: an upload that is taken at last is whole. One that takes longer is given up as one that is gone.
func TestZeroWindow(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{0, 500 * time.Millisecond} {
		t.Run(timeout.String(), func(t *testing.T) {
			server := startRaw(t, false)
			tr := &transport.Transport{UnackedTimeout: timeout}
			defer func() { assert.NoError(t, tr.Close()) }()
			read, served := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(served)
				c := <-server.conns
				defer c.Close()
				<-read
				if timeout == 0 {
					answer(t, bufio.NewReader(c), c, okResponse)
				}
			}()
			dialed := make(chan net.Conn, 1)
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { dialed <- i.Conn }})
			done := make(chan error, 1)
			go func() { done <- upload(ctx, tr, server.url(), 16<<20) }()
			if nc := <-dialed; timeout == 0 {
				require.Eventually(t, func() bool { return probesInARow(t, nc) >= 3 }, patience, tick)
				close(read)
				assert.NoError(t, <-done)
			} else {
				err := <-done
				assert.True(t, isEnd(err), "%v", err)
				close(read)
			}
			<-served
		})
	}
}

// upload posts so many bytes.
func upload(ctx context.Context, rt http.RoundTripper, url string, size int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.NopCloser(bytes.NewReader(make([]byte, size))))
	if err != nil {
		return err
	}
	req.ContentLength = int64(size)
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
