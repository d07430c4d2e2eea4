package transport_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countedConn counts the calls of Write.
type countedConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// A small request is one Write, its body included.
func TestSmallRequestsAreOneWrite(t *testing.T) {
	for _, std := range []bool{true, false} {
		var writes atomic.Int64
		s := newStory(t, echo, false, std, func(tr *http.Transport) {
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return countedConn{c, &writes}, err
			}
		})
		s.read(s.get("/"))
		assert.EqualValues(s, 1, writes.Load(), "GET")
		s.read(s.send(s.request(http.MethodPost, "/", strings.NewReader("hello"))))
		assert.EqualValues(s, 2, writes.Load(), "POST")
		s.read(s.send(s.request(http.MethodHead, "/", nil)))
		assert.EqualValues(s, 3, writes.Load(), "HEAD")
	}
}

// The head goes out before a body that may block, and each Read of a body without a length goes out at once.
func TestBodiesAreSentAsTheyCome(t *testing.T) {
	lines := make(chan string)
	handler := func(_ http.ResponseWriter, r *http.Request) {
		lines <- "head"
		for sc := bufio.NewScanner(r.Body); sc.Scan(); {
			lines <- sc.Text()
		}
	}
	everywhere(t, handler, func(s *story) {
		for _, length := range []int64{-1, int64(len("one\ntwo\n"))} {
			r, w := io.Pipe()
			req := s.request(http.MethodPost, "/", r)
			req.ContentLength = length
			done := make(chan error)
			go func() {
				resp, err := s.rt.RoundTrip(req)
				if err == nil {
					err = resp.Body.Close()
				}
				done <- err
			}()
			assert.Equal(s, "head", <-lines) // and not a byte of the body is there
			for _, line := range []string{"one", "two"} {
				_, err := io.WriteString(w, line+"\n")
				require.NoError(s, err)
				if s.ours != nil || length < 0 { // net/http keeps back what has a length
					assert.Equal(s, line, <-lines)
				}
			}
			require.NoError(s, w.Close())
			if s.ours == nil && length >= 0 {
				assert.Equal(s, "one", <-lines)
				assert.Equal(s, "two", <-lines)
			}
			require.NoError(s, <-done)
		}
	})
}

// skipping reads a request's body and leaves the request to the transport.
type skipping struct{ read *string }

func (k skipping) RoundTrip(req *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	*k.read = string(b)
	return nil, http.ErrSkipAltProtocol
}

// Where an alternate protocol read the body and then declined, the body is sent from its beginning.
func TestSkippedAlternateRewindsTheBody(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		var read string
		s.rt.(interface {
			RegisterProtocol(string, http.RoundTripper)
		}).RegisterProtocol(strings.Split(s.server.URL, ":")[0], skipping{&read})
		req := s.request(http.MethodPost, "/", strings.NewReader("hello"))
		assert.Contains(s, s.read(s.send(req)), "hello")
		assert.Equal(s, "hello", read)

		req = s.request(http.MethodPost, "/", strings.NewReader("hello"))
		req.GetBody = nil
		_, err := s.rt.RoundTrip(req)
		assert.Error(s, err, "it cannot be sent again")
	}, func(tr *http.Transport) {
		tr.TLSNextProto = nil
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetHTTP1(true)
	})
}

// An HTTP server that is asked for https is told as such by http.Client, which looks for the error of crypto/tls.
func TestHTTPServerAskedForHTTPS(t *testing.T) {
	for _, std := range []bool{true, false} {
		s := newStory(t, echo, false, std)
		_, err := (&http.Client{Transport: s.rt}).Get(strings.Replace(s.server.URL, "http:", "https:", 1))
		assert.ErrorContains(s, err, "server gave HTTP response to HTTPS client")
	}
}
