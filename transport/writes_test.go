package transport_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countingConn notes each Write.
type countingConn struct {
	net.Conn
	mu     *sync.Mutex
	writes *[]string
}

func (c countingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	*c.writes = append(*c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// counting makes a setting that notes the writes of plain connections.
func counting(mu *sync.Mutex, writes *[]string) setting {
	return func(tr *http.Transport) {
		dial := tr.DialContext
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return countingConn{nc, mu, writes}, err
		}
	}
}

// A request with little or no body is one Write, head and body.
func TestSmallRequestsAreOneWrite(t *testing.T) {
	for name, make := range map[string]func() (string, io.Reader){
		"GET":    func() (string, io.Reader) { return http.MethodGet, nil },
		"POST":   func() (string, io.Reader) { return http.MethodPost, strings.NewReader("hello") },
		"NoBody": func() (string, io.Reader) { return http.MethodPut, http.NoBody },
	} {
		t.Run(name, func(t *testing.T) {
			for _, std := range []bool{true, false} {
				var mu sync.Mutex
				var writes []string
				s := newStory(t, echo, false, std, counting(&mu, &writes))
				method, body := make()
				s.read(s.send(s.request(method, "/", body)))
				mu.Lock()
				assert.Len(s, writes, 1)
				mu.Unlock()
			}
		})
	}
}

// The head is written before a body that blocks has anything to say, and each piece of a chunked body as it comes.
func TestUploadsAreFlushed(t *testing.T) {
	arrived := make(chan string)
	handler := func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.Method
		var b [100]byte
		for {
			n, err := r.Body.Read(b[:])
			if n > 0 {
				arrived <- string(b[:n])
			}
			if err != nil {
				return
			}
		}
	}
	everywhere(t, handler, func(s *story) {
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() {
			resp, err := s.rt.RoundTrip(s.request(http.MethodPost, "/", r))
			if err == nil {
				err = resp.Body.Close()
			}
			done <- err
		}()
		assert.Equal(s, "POST", <-arrived)
		for _, piece := range []string{"one", "two", "three"} {
			_, err := io.WriteString(w, piece)
			require.NoError(s, err)
			assert.Equal(s, piece, <-arrived)
		}
		require.NoError(s, w.Close())
		assert.NoError(s, <-done)
	})
}

// A stingy connection takes half of what it is given, and says nothing of it.
type stingy struct{ net.Conn }

func (c stingy) Write(p []byte) (int, error) { return c.Conn.Write(p[:len(p)/2]) }

// It fails a request at once, which would wait for the answer to its first half otherwise: io.Writer does not allow that, and a wrapper does
// it all the same.
func TestShortWritesAreErrors(t *testing.T) {
	for _, std := range []bool{true, false} {
		for _, body := range []string{"", "small", strings.Repeat("large", 100000)} {
			s := newStory(t, echo, false, std, func(tr *http.Transport) {
				dial := tr.DialContext
				tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					nc, err := dial(ctx, network, addr)
					return stingy{nc}, err
				}
			})
			req := s.request(http.MethodPost, "/", strings.NewReader(body))
			ctx, cancel := context.WithTimeout(s.Context(), patience)
			_, err := s.rt.RoundTrip(req.WithContext(ctx))
			cancel()
			assert.ErrorIs(s, err, io.ErrShortWrite, "std %v, body of %d", std, len(body))
		}
	}
}
