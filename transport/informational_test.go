package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// traced lets a trace follow a request.
func traced(trace *httptrace.ClientTrace) func(*http.Request) {
	return func(r *http.Request) { *r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace)) }
}

// Each informational response is told to the trace with its header, in order, and a "100 Continue" that nobody waits
// for is one of them.
func TestInformationalResponsesAreTraced(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		var got []string
		trace := &httptrace.ClientTrace{
			Got100Continue: func() { got = append(got, "continue") },
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code, header["Link"]))
				return nil
			},
		}
		status, body, err := do(t, rt, http.MethodGet, server.URL, "", traced(trace))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "ok", body)
		assert.Equal(t, []string{"100 []", "102 []", "103 [a b]", "199 []"}, got)
	}, badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" +
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\nLink: b\r\n\r\nHTTP/1.1 199 Whatever\r\n\r\n" + okResponse), badserver.Stall{}})
}

// The hook for informational responses can end the request with its error.
func TestInformationalHookEndsTheRequest(t *testing.T) {
	want := errors.New("no hints, please")
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { return want }}
		_, _, err := do(t, rt, http.MethodPost, server.URL, "hello", traced(trace))
		assert.ErrorIs(t, err, want) // net/http wraps it
	}, badserver.Script{badserver.ReadRequest{}, badserver.Write("HTTP/1.1 103 Early Hints\r\n\r\n" + okResponse), badserver.Stall{}})
}

// MaxResponseHeaderBytes bounds all heads of a response together, unless the hook takes the informational ones: then
// it is the hook that counts.
func TestInformationalResponsesAreBounded(t *testing.T) {
	many := strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 1000)+"\r\n\r\n", 20)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, many+"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
			_ = c.Close()
		}
	}
	everywhere1(t, handler, func(s *story) {
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/", nil))
		assert.ErrorContains(s, err, "10000")
		count := 0
		req := s.request(http.MethodGet, "/", nil)
		traced(&httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error { count++; return nil }})(req)
		s.read(s.send(req))
		assert.Equal(s, 20, count)
	}, func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 10000 })
}

// upgrading asks for another protocol.
func upgrading(r *http.Request) {
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"echo"}}
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// switched sends a request and wants a 101 with a connection for a body.
func switched(t *testing.T, rt roundTripper, req *http.Request) io.ReadWriteCloser {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok, "body of a 101")
	return rwc
}

// A 101 behind other informational responses hands the connection over; its direction from us can be ended alone, and
// what the server still says arrives, up to its end.
func TestUpgradeEndsOneDirectionAtATime(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		upgrading(req)
		rwc := switched(t, rt, req)
		defer rwc.Close()
		_, err = io.WriteString(rwc, "ping")
		require.NoError(t, err)
		cw, ok := rwc.(interface{ CloseWrite() error })
		require.True(t, ok, "CloseWrite")
		require.NoError(t, cw.CloseWrite())
		got, err := io.ReadAll(rwc)
		require.NoError(t, err)
		assert.Equal(t, "early, late", string(got))
	}, badserver.Script{
		badserver.ReadRequest{}, badserver.Write("HTTP/1.1 102 Processing\r\n\r\n" + switching + "early"),
		badserver.Stall{}, badserver.Write(", late"), badserver.FIN{},
	})
}

// A 101 while the request's body is still being sent hands the connection over as it is: reading works, and the body
// goes on to its end.
func TestUpgradeDuringAnUpload(t *testing.T) {
	againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
		require.NoError(t, err)
		upgrading(req)
		rwc := switched(t, rt, req)
		got := make([]byte, 5)
		_, err = io.ReadFull(rwc, got)
		require.NoError(t, err)
		assert.Equal(t, "early", string(got))
		_, err = io.WriteString(w, "hello")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		_, err = io.ReadFull(rwc, got[:4])
		require.NoError(t, err)
		assert.Equal(t, "done", string(got[:4]))
		require.NoError(t, rwc.Close())
	}, badserver.Script{
		badserver.ReadHead{}, badserver.Write(switching + "early"),
		badserver.Read(len("5\r\nhello\r\n0\r\n\r\n")), badserver.Write("done"), badserver.Stall{},
	})
}

// Closing what a 101 handed over ends the rest of the request's body with it.
func TestUpgradeClosedDuringAnUpload(t *testing.T) {
	server := badserver.Start(t, badserver.Script{badserver.ReadHead{}, badserver.Write(switching), badserver.Stall{}})
	rt := &transport.Transport{}
	defer rt.Close()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, r)
	require.NoError(t, err)
	upgrading(req)
	rwc := switched(t, rt, req)
	require.NoError(t, rwc.Close())
	_, err = w.Write([]byte("hello"))
	assert.Equal(t, io.ErrClosedPipe, err)
	_, err = rwc.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed)
}

// What ends the request's body ends the tunnel of a CONNECT too, and says why; so does the context.
func TestConnectEndsWithItsRequest(t *testing.T) {
	want := errors.New("enough")
	for name, end := range map[string]func(cancel func(error), body *io.PipeWriter){
		"context": func(cancel func(error), _ *io.PipeWriter) { cancel(want) },
		"body":    func(_ func(error), body *io.PipeWriter) { _ = body.CloseWithError(want) },
	} {
		t.Run(name, func(t *testing.T) {
			againstBad(t, func(t *testing.T, rt roundTripper, server *badserver.Server) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				r, w := io.Pipe()
				defer w.Close()
				req, err := http.NewRequestWithContext(ctx, http.MethodConnect, server.URL, r)
				require.NoError(t, err)
				resp, err := rt.RoundTrip(req)
				require.NoError(t, err)
				defer resp.Body.Close()
				end(cancel, w)
				_, err = resp.Body.Read(make([]byte, 1))
				require.Error(t, err)
				if _, ok := rt.(*transport.Transport); ok {
					assert.Equal(t, want, err)
				}
			}, badserver.Script{badserver.ReadHead{}, badserver.Write("HTTP/1.1 200 OK\r\n\r\n"), badserver.Stall{}})
		})
	}
}

// The body of a CONNECT is raw bytes to the target that URL.Opaque names, and the body of its answer is what the target
// says; both flow at once, and each write is sent.
func TestConnectIsBidirectional(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.RequestURI != "target.example:7" {
			http.Error(w, r.Method+" "+r.RequestURI, http.StatusBadRequest)
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		_, _ = io.Copy(c, rw)
	}
	everywhere1(t, handler, func(s *story) {
		r, w := io.Pipe()
		req := s.request(http.MethodConnect, "", r)
		req.URL.Opaque = "target.example:7"
		resp := s.send(req)
		require.Equal(s, http.StatusOK, resp.StatusCode)
		lines := bufio.NewReader(resp.Body)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			_, err := io.WriteString(w, line)
			require.NoError(s, err)
			got, err := lines.ReadString('\n')
			require.NoError(s, err)
			assert.Equal(s, line, got)
		}
		require.NoError(s, resp.Body.Close())
		require.NoError(s, w.Close())
	})
}
