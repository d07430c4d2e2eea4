//go:build linux

package transport_test

import (
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A caller is a way to make requests and to treat their bodies.
type caller struct {
	client func(http.RoundTripper) *http.Client // nil: RoundTrip itself
	wraps  bool                                 // the body, in one of its own
	gzip   bool                                 // the body comes compressed
	part   func(io.Reader) (n int, err error)   // what it reads at first; nil: nothing
}

// half is how much a caller reads that reads a part.
const half = 25000

func readHalf(body io.Reader) (int, error) { return io.ReadFull(body, make([]byte, half)) }

func readHalfElsewhere(body io.Reader) (n int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = readHalf(body)
	}()
	<-done
	return n, err
}

// callers are all combinations, by name.
func callers() map[string]caller {
	all := map[string]caller{}
	for name, c := range map[string]caller{
		"plain":   {},
		"wrapped": {wraps: true},
		"client":  {client: func(rt http.RoundTripper) *http.Client { return &http.Client{Transport: rt} }},
		"client with Timeout": {client: func(rt http.RoundTripper) *http.Client {
			return &http.Client{Transport: rt, Timeout: time.Minute}
		}},
	} {
		for _, zipped := range []bool{false, true} {
			for part, read := range map[string]func(io.Reader) (int, error){"unread": nil, "half read": readHalf, "half read elsewhere": readHalfElsewhere} {
				c.gzip, c.part = zipped, read
				all[name+map[bool]string{true: ", gzip, ", false: ", "}[zipped]+part] = c
			}
		}
	}
	return all
}

// someCallers are those of every kind that matters to what is slow to test.
func someCallers() map[string]caller {
	some := map[string]caller{}
	for name, c := range callers() {
		switch name {
		case "plain, unread", "wrapped, gzip, half read", "client, half read elsewhere", "client with Timeout, gzip, unread":
			some[name] = c
		}
	}
	return some
}

// do sends a request in the caller's way.
func (c caller) do(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	if c.client == nil {
		return rt.RoundTrip(req)
	}
	return c.client(rt).Do(req)
}

// open makes a request and treats its body as the caller does. It returns how many bytes were read.
func (c caller) open(s *story, rt http.RoundTripper, req *http.Request) (resp *http.Response, n int) {
	s.Helper()
	if c.gzip {
		req.URL.RawQuery = "gzip"
	}
	resp, err := c.do(rt, req)
	require.NoError(s, err)
	require.Equal(s, c.gzip, resp.Uncompressed)
	if c.wraps {
		resp.Body = struct{ io.ReadCloser }{resp.Body}
	}
	if c.part != nil {
		n, err = c.part(resp.Body)
		require.NoError(s, err)
	}
	return resp, n
}

// get is open with a GET of n random bytes.
func (c caller) get(s *story, ctx context.Context, size int) (resp *http.Response, n int) {
	s.Helper()
	return c.open(s, s.rt, s.request(http.MethodGet, "/"+strconv.Itoa(size), nil).WithContext(ctx))
}

// noise is what the server of the taxonomy sends.
func noise(n int) []byte { return allNoise()[:n] }

var allNoise = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// A taxonomyServer answers with noise, of the length that the path says.
type taxonomyServer struct {
	hangUp   bool          // after the response
	early    bool          // answers before the request's body has come, and does not read that
	released chan struct{} // closed at the end of the test
}

func (ts *taxonomyServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if ts.hangUp {
		w.Header().Set("Connection", "close")
	}
	if ts.early {
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	var out io.WriteCloser = unclosed{w}
	if r.URL.Query().Has("gzip") && r.Header.Get("Accept-Encoding") == "gzip" {
		w.Header().Set("Content-Encoding", "gzip")
		out, _ = gzip.NewWriterLevel(w, gzip.NoCompression) // so that lengths on the wire are what they seem
	}
	_, _ = out.Write(noise(n))
	_ = out.Close()
	if ts.early {
		w.(http.Flusher).Flush()
		<-ts.released
	}
}

// walk tells a case of the taxonomy of each caller, over http, https and HTTP/2.
func walk(t *testing.T, all map[string]caller, server taxonomyServer, tell func(s *story, c caller, leaks func() []transport.Leak), settings ...func(*transport.Transport)) {
	walkOver(t, true, all, server, tell, settings...)
}

// walk1 is walk without HTTP/2.
func walk1(t *testing.T, all map[string]caller, server taxonomyServer, tell func(s *story, c caller, leaks func() []transport.Leak), settings ...func(*transport.Transport)) {
	walkOver(t, false, all, server, tell, settings...)
}

func walkOver(t *testing.T, http2 bool, all map[string]caller, server taxonomyServer, tell func(s *story, c caller, leaks func() []transport.Leak), settings ...func(*transport.Transport)) {
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			told := func(open func(http.HandlerFunc) *story) {
				ts := server
				ts.released = make(chan struct{})
				s := open(ts.ServeHTTP)
				s.Cleanup(func() { close(ts.released) })
				for _, set := range settings {
					set(s.ours)
				}
				tell(s, c, s.leaks())
			}
			plainAndTLS(t, func(t *testing.T, https bool) {
				told(func(h http.HandlerFunc) *story { return newStory(t, h, https, false) })
			})
			if !http2 {
				return
			}
			t.Run("http2", func(t *testing.T) {
				told(func(h http.HandlerFunc) *story { return newHTTP2Story(t, h, false) })
			})
		})
	}
}
