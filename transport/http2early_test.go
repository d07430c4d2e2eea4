package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
)

// A server that answers a request before it has read it, whose client cannot even write it, is answered by its context.
func TestHTTP2AnswerToWhatWasNotAsked(t *testing.T) {
	leave := make(chan struct{})
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		f.ReadMetaHeaders = nil // a part of them is enough
		for {
			got, err := f.ReadFrame()
			if _, ok := got.(*http2.HeadersFrame); ok {
				err = errors.Join(f.Head(1, false, ":status", "200"), f.WriteData(1, true, []byte("hello")))
				<-leave
			}
			if err != nil {
				return err
			}
		}
	}))
	defer close(leave)
	tr := cleartext(t)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = nc.(*net.TCPConn).SetWriteBuffer(16 << 10)
		}
		return nc, err
	}
	req, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	req.Header.Set("Large", strings.Repeat("x", 2<<20))
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = tr.RoundTrip(req.WithContext(ctx))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), 5*time.Second)
	require.Eventually(t, func() bool { return tr.Stats().Leased == 0 }, patience, tick)
}

// A writeless is a connection of which writes fail from some moment on.
type writeless struct {
	net.Conn
	fail atomic.Bool
}

func (f *writeless) Write(p []byte) (int, error) {
	if f.fail.Load() {
		return 0, io.ErrClosedPipe
	}
	return f.Conn.Write(p)
}

// A slowToClose is a body whose Close takes its time.
type slowToClose struct{ io.Reader }

func (slowToClose) Close() error {
	time.Sleep(20 * time.Millisecond)
	return nil
}

// A connection that fails under many requests fails each of them, and gives back what each had of it, also while the one that saw it
// first has not come to close it.
func TestHTTP2WritesFail(t *testing.T) {
	for range 5 {
		server := badserver.Start(t, speaks(answers(0, nil)), speaks(answers(0, nil)))
		tr := cleartext(t)
		var conn *writeless
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if conn != nil || err != nil {
				return nil, errors.Join(err, io.ErrNoProgress)
			}
			conn = &writeless{Conn: nc}
			return conn, nil
		}
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
		conn.fail.Store(true)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, slowToClose{endless{}})
				assert.NoError(t, err)
				_, err = tr.RoundTrip(req)
				assert.Error(t, err)
			})
		}
		wg.Wait()
		require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Open == 0 }, patience, tick)
	}
}

// A head that is written a moment after its connection was closed is that of no stream: what the request had of the connection is given
// back, and it is sent on another.
func TestHTTP2HeadAfterTheEnd(t *testing.T) {
	hangUp := make(chan struct{})
	leaves := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		err = f.Head(stream, true, ":status", "204")
		<-hangUp
		return err
	}
	server := badserver.Start(t, speaks(leaves))
	tr := cleartext(t)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return struct{ net.Conn }{nc}, err // which the reaper cannot watch
	}
	require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	var once sync.Once
	trace := &httptrace.ClientTrace{WroteHeaderField: func(string, []string) { // before it is on its way
		once.Do(func() {
			close(hangUp)
			assert.Eventually(t, func() bool { c := tr.Connections(); return len(c) == 1 && c[0].Retired != "" }, patience, tick)
		})
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, server.URL, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	require.NoError(t, err, "nothing was written: it is sent elsewhere")
	require.NoError(t, resp.Body.Close())
	assert.EqualValues(t, 2, tr.Stats().Dials)
	require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, patience, tick)
}
