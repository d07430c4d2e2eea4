package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// wantNothingHeld wants that no exchange holds a connection any more.
func (s *story) wantNothingHeld() {
	s.Helper()
	if s.ours == nil {
		return
	}
	s.eventually("nothing leased", func() bool { st := s.ours.Stats(); return st.Leased == 0 && st.Bodies == 0 })
	assert.Empty(s, s.ours.Stats().Leaks)
}

// proxied puts a reverse proxy over the story's transport in front of its server and returns the proxy's URL.
func (s *story) proxied(flush time.Duration) string {
	s.Helper()
	target, err := url.Parse(s.server.URL)
	require.NoError(s, err)
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     s.rt,
		FlushInterval: flush,
		ErrorLog:      log.New(io.Discard, "", 0),
	})
	s.Cleanup(front.Close)
	return front.URL
}

// front returns a client for a reverse proxy: net/http's, so that only the proxy's transport differs.
func (s *story) front() *http.Client {
	tr := &http.Transport{}
	s.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// A reverse proxy passes each piece on as it comes, and the trailers at the end.
func TestReverseProxyStreams(t *testing.T) {
	next := make(chan struct{})
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "Declared")
		for i := range 3 {
			fmt.Fprintf(w, "piece %d\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
		w.Header().Set("Declared", "a")
		w.Header().Set(http.TrailerPrefix+"Undeclared", "b")
	}
	everywhere(t, handler, func(s *story) {
		resp, err := s.front().Get(s.proxied(-1))
		require.NoError(s, err)
		lines := bufio.NewReader(resp.Body)
		for i := range 3 {
			line, err := lines.ReadString('\n')
			require.NoError(s, err)
			assert.Equal(s, fmt.Sprintf("piece %d\n", i), line)
			next <- struct{}{}
		}
		_, err = lines.ReadByte()
		assert.Equal(s, io.EOF, err)
		assert.NoError(s, resp.Body.Close())
		assert.Equal(s, http.Header{"Declared": {"a"}, "Undeclared": {"b"}}, resp.Trailer)
		s.wantNothingHeld()
	}, func(tr *http.Transport) { tr.DisableCompression = true })
}

// A reverse proxy passes uploads on, of known length or not.
func TestReverseProxyUploads(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		target, client := s.proxied(0), s.front()
		for _, n := range []int{0, 10, 1 << 20} {
			for _, body := range []io.Reader{strings.NewReader(strings.Repeat("a", n)), io.LimitReader(endless{}, int64(n))} {
				resp, err := client.Post(target, "text/plain", body)
				require.NoError(s, err)
				assert.Equal(s, "POST "+strings.Repeat("a", n), s.read(resp))
			}
		}
		s.wantNothingHeld()
		if s.ours != nil { // net/http's may be back too late for the next request
			s.wantDials(1)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// A backend that aborts in the middle is an abort to the proxy's client: a short body is never taken for a whole one.
func TestReverseProxyPassesAborts(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", "100000")
		}
		_, _ = w.Write(pattern(20000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	everywhere(t, handler, func(s *story) {
		target, client := s.proxied(0), s.front()
		for _, path := range []string{"/length", "/chunked"} {
			resp, err := client.Get(target + path)
			if err != nil {
				continue // the proxy gave up before it had sent the head
			}
			_, err = io.ReadAll(resp.Body)
			assert.ErrorIs(s, err, io.ErrUnexpectedEOF)
			assert.NoError(s, resp.Body.Close())
		}
		s.wantNothingHeld()
	})
}

// A client that goes away ends the proxy's request to the backend, too.
func TestReverseProxyPassesCancellation(t *testing.T) {
	ended := make(chan struct{}, 1)
	handler := func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		hang(w, r)
	}
	everywhere(t, handler, func(s *story) {
		resp, err := s.front().Get(s.proxied(-1) + "/body")
		require.NoError(s, err)
		_, err = io.ReadFull(resp.Body, make([]byte, 100))
		require.NoError(s, err)
		require.NoError(s, resp.Body.Close())
		<-ended
		s.wantNothingHeld()
	})
}

// An upgrade passes the proxy in both directions, with bytes that come with the head, and with each side's end.
func TestReverseProxyUpgrades(t *testing.T) {
	everywhere1(t, upgradeEcho, func(s *story) {
		u, err := url.Parse(s.proxied(0))
		require.NoError(s, err)
		c, err := net.Dial("tcp", u.Host)
		require.NoError(s, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", u.Host)
		require.NoError(s, err)
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(s, err)
		require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
		for _, word := range []string{"hello", "world"} {
			_, err = io.WriteString(c, word)
			require.NoError(s, err)
			b := make([]byte, len(word))
			_, err = io.ReadFull(r, b)
			require.NoError(s, err)
			assert.Equal(s, word, string(b))
		}
		require.NoError(s, c.(*net.TCPConn).CloseWrite())
		rest, err := io.ReadAll(r)
		require.NoError(s, err)
		assert.Equal(s, " bye", string(rest))
		s.wantNothingHeld()
	})
}

// A test server's own client works with ours in it.
func TestServersClient(t *testing.T) {
	bothSchemes(t, sized, func(t *testing.T, server *httptest.Server) {
		client := server.Client()
		own := transport.From(client.Transport.(*http.Transport))
		client.Transport = own
		resp, err := client.Get(server.URL + "/100000")
		require.NoError(t, err)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Len(t, b, 100000)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 1, own.Stats().Idle)
		server.Close() // its own goroutines, and our idle connection by its hang-up
		require.Eventually(t, func() bool { return own.Stats().Open == 0 }, 10*time.Second, time.Millisecond)
		assert.NoError(t, own.Close())
	})
}

// authorized sends a clone of each request with a header of its own, as packages for tokens do.
type authorized struct{ base http.RoundTripper }

func (a authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.Header.Set("Authorization", "Bearer token")
	return a.base.RoundTrip(own)
}

// A wrapper that sends a clone of the request: the header arrives, a body is sent once and closed once, redirects
// carry on, and dropped bodies are found.
func TestBehindAWrapperOfRequests(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/large":
			_, _ = w.Write(pattern(1000000))
		default:
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), b)
		}
	}
	everywhere(t, handler, func(s *story) {
		if s.ours != nil {
			s.ours.Logger = discardLogger
		}
		client := &http.Client{Transport: authorized{s.rt}}
		for _, body := range []io.Reader{strings.NewReader("hello"), strings.NewReader("world")} {
			resp, err := client.Post(s.server.URL, "text/plain", body)
			require.NoError(s, err)
			assert.Contains(s, []string{"Bearer token hello", "Bearer token world"}, s.read(resp))
		}
		s.wantDials(1)
		s.wantNothingHeld()
		if s.ours == nil {
			return
		}
		_, err := client.Get(s.server.URL + "/large")
		require.NoError(s, err)
		s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leased == 0 })
	})
}

// measured wraps each response's body, as packages for traces do.
type measured struct {
	base        http.RoundTripper
	read, ended *atomic.Int64
}

func (m measured) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.base.RoundTrip(req)
	if err == nil {
		resp.Body = &measuredBody{resp.Body, m}
	}
	return resp, err
}

type measuredBody struct {
	io.ReadCloser
	m measured
}

func (b *measuredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.m.read.Add(int64(n))
	if err == io.EOF {
		b.m.ended.Add(1)
	}
	return n, err
}

// A wrapper of bodies sees each byte and the end; one that the caller drops gives its connection back all the same.
func TestBehindAWrapperOfBodies(t *testing.T) {
	everywhere(t, sized, func(s *story) {
		if s.ours != nil {
			s.ours.Logger = discardLogger
		}
		m := measured{s.rt, new(atomic.Int64), new(atomic.Int64)}
		client := &http.Client{Transport: m}
		for _, path := range []string{"/10", "/5000?length", "/1000000"} {
			resp, err := client.Get(s.server.URL + path)
			require.NoError(s, err)
			s.read(resp)
		}
		assert.EqualValues(s, 1005010, m.read.Load())
		assert.EqualValues(s, 3, m.ended.Load())
		s.wantDials(1)
		s.wantNothingHeld()
		if s.ours == nil {
			return
		}
		resp, err := client.Get(s.server.URL + "/1000000")
		require.NoError(s, err)
		_, err = resp.Body.Read(make([]byte, 10))
		require.NoError(s, err)
		s.eventuallyCollected("taken back", func() bool { return s.ours.Stats().Leaks[transport.Dropped] == 1 })
		assert.Zero(s, s.ours.Stats().Leased)
	})
}

// http.Client closes the bodies of redirects, read or not: a long chain runs over one connection, one with large
// bodies holds none.
func TestRedirectsHoldNothing(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		var left, size int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d/%d", &left, &size)
		if left > 0 {
			w.Header().Set("Location", fmt.Sprintf("/%d/%d", left-1, size))
			w.WriteHeader(http.StatusFound)
		}
		_, _ = w.Write(pattern(size))
	}
	everywhere(t, handler, func(s *story) {
		client := &http.Client{Transport: s.rt}
		for _, size := range []int{0, 1000, 100000} {
			before := s.dials.Load()
			resp, err := client.Get(fmt.Sprintf("%s/9/%d", s.server.URL, size))
			require.NoError(s, err)
			assert.Len(s, s.read(resp), size)
			s.wantNothingHeld()
			if size <= 1000 {
				assert.LessOrEqual(s, s.dials.Load()-before, int64(1))
			}
		}
		// A chain that is too long: http.Client returns the last response with the error, its body closed.
		_, err := client.Get(s.server.URL + "/20/100000")
		require.ErrorContains(s, err, "stopped after 10 redirects")
		s.wantNothingHeld()
	})
}
