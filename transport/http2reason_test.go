package transport_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/reaper"
	"github.com/watertight-go/watertight/transport"
)

// Whoever reads a body is told why the connection came to its end, and not that the upload beside it found it closed: neither where that
// waits for the window, nor where it is being written.
func TestHTTP2ReasonBesideAnUpload(t *testing.T) {
	for _, row := range []struct {
		name string
		ends func(*badserver.Frames, uint32) error // nil: the connection
		says string
	}{
		{"a frame that may not be", func(f *badserver.Frames, _ uint32) error {
			return errors.Join(raw(f, http2.FrameData, 0, 0, []byte("x")), f.Swallow())
		}, "PROTOCOL_ERROR"},
		{"a frame that is too large", func(f *badserver.Frames, stream uint32) error {
			f.AllowIllegalWrites = true
			return errors.Join(raw(f, http2.FrameData, 0, stream, make([]byte, 2<<20)), f.Swallow())
		}, "frame too large"},
		{"GOAWAY", func(f *badserver.Frames, stream uint32) error {
			return f.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, nil)
		}, "ENHANCE_YOUR_CALM"},
		{"the end", func(*badserver.Frames, uint32) error { return nil }, "unexpected EOF"},
	} {
		for _, writing := range []bool{false, true} {
			if writing && row.says == "PROTOCOL_ERROR" {
				continue // the codec wants to write a GOAWAY first, and waits until the ping fails
			}
			name := row.name + ", awaiting the window"
			if writing {
				name = row.name + ", writing"
			}
			t.Run(name, func(t *testing.T) {
				more := make(chan struct{})
				server := badserver.Start(t, append(speaks(responds(func(f *badserver.Frames, stream uint32) error {
					<-more
					return row.ends(f, stream)
				})), badserver.FIN{}, badserver.Stall{}))
				c := &brokenConn{writes: make(chan struct{}, 1), closed: make(chan struct{})}
				tr, resp, upload := c.begin(t, server.URL)
				defer resp.Body.Close()
				if writing {
					c.write(upload)
				} else {
					_, err := upload.Write(make([]byte, 1<<16))
					require.NoError(t, err) // that is all there is room for
				}
				close(more)
				_, err := io.ReadAll(resp.Body)
				require.ErrorContains(t, err, row.says)
				require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Open == 0 }, patience, tick)
			})
		}
	}
}

// A server that is silent is the reason as well where an upload awaits its window.
func TestHTTP2SilenceBesideAnUpload(t *testing.T) {
	pinged(t, nil, responds(func(f *badserver.Frames, _ uint32) error { return f.Swallow() }), func(t *testing.T, tr *transport.Transport) {
		body, upload := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://a.example/", body)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		_, err = upload.Write(make([]byte, 1<<16))
		require.NoError(t, err)
		began := time.Now()
		_, err = io.ReadAll(resp.Body)
		require.ErrorContains(t, err, "nor an answer to a ping")
		assert.Less(t, time.Since(began), time.Minute)
		require.NoError(t, resp.Body.Close())
	})
}

// A tornConn is a connection on which a Write fails, once it is to.
type tornConn struct {
	net.Conn
	torn chan struct{}
}

func (c tornConn) Write(p []byte) (int, error) {
	select {
	case <-c.torn:
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: errTorn}
	default:
		return c.Conn.Write(p)
	}
}

// What one stream's Write failed of is what all the others are told.
func TestHTTP2WriteFailsForAll(t *testing.T) {
	asked := make(chan struct{})
	server := badserver.Start(t, speaks(responds(func(f *badserver.Frames, _ uint32) error {
		for {
			if _, err := f.AwaitRequest(); err != nil {
				return err
			}
			asked <- struct{}{}
		}
	})))
	torn := make(chan struct{})
	tr := cleartext(t)
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		return tornConn{c, torn}, err
	}
	first := mustGet(t, tr, server.URL)
	defer first.Body.Close()
	body, upload := io.Pipe()
	told := make(chan error)
	for _, body := range []io.Reader{nil, nil, nil, body} {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, body)
			if err == nil {
				_, err = tr.RoundTrip(req)
			}
			told <- err
		}()
		<-asked
	}
	close(torn)
	_, err := upload.Write([]byte("what is written at once"))
	require.NoError(t, err)
	for range 4 {
		require.ErrorIs(t, <-told, errTorn)
	}
	_, err = io.ReadAll(first.Body)
	require.ErrorIs(t, err, errTorn)
}

// Who asks a server that does not speak HTTP/2 is told so, however soon the server says what it says.
func TestHTTP2SpokenToFirst(t *testing.T) {
	server := badserver.Start(t, badserver.Script{badserver.Write("220 mail.example ESMTP, and more than a frame's head\r\n"), badserver.Stall{}})
	for range 300 {
		tr := cleartext(t)
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			assert.Eventually(t, func() bool {
				err := reaper.Probe(c)
				return errors.Is(err, reaper.ErrUnexpectedData) || errors.Is(err, errors.ErrUnsupported)
			}, patience, tick, "what the server says")
			return c, nil
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		_, err = tr.RoundTrip(req)
		require.ErrorContains(t, err, "frame too large")
		require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Open == 0 }, patience, tick)
		require.NoError(t, tr.Close())
	}
}

// Whoever closes a connection beneath the transport, as a dialer of the caller's may do, has all its requests fail of one kind of error:
// the connection's own, whether it came to a Read or a Write, and whatever the codec makes of it.
func TestHTTP2ClosedBeneath(t *testing.T) {
	s := newHTTP2Story(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(make([]byte, 100000))
	}, false)
	for range 50 {
		dialed := make(chan net.Conn, 100)
		tr := &transport.Transport{TLSClientConfig: trust(s.server), ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}}
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := s.dial(ctx, network, addr)
			if err == nil {
				dialed <- c
			}
			return c, err
		}
		require.NoError(t, mustGet(t, tr, s.server.URL).Body.Close())
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL, io.LimitReader(endless{}, 20000*int64(i)))
				if !assert.NoError(t, err) {
					return
				}
				resp, err := tr.RoundTrip(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				if _, own := err.(*net.OpError); err != nil && (!own || !errors.Is(err, net.ErrClosed)) {
					t.Errorf("%T: %v", err, err)
				}
			})
		}
		time.Sleep(rand.N(5 * time.Millisecond))
		require.NoError(t, (<-dialed).Close())
		wg.Wait()
		require.NoError(t, tr.Close())
	}
}
