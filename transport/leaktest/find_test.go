package leaktest_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/innocent"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// serve starts a server that ends after everything that the test registers later.
func serve(t *testing.T, handler http.HandlerFunc, https bool) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	if https {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// trusting returns a client with a transport of the test's, which trusts the server.
func trusting(tb testing.TB, server *httptest.Server) *http.Client {
	tr := leaktest.NewTransport(tb)
	tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	return &http.Client{Transport: tr}
}

// The innocent programs of the guard's tests are never blamed, over http and https, straight, with a Timeout or behind a proxy,
// in tests side by side.
func TestNoFalseAlarms(t *testing.T) {
	want := httptest.NewRecorder()
	innocent.Rows(want, nil)
	for _, https := range []bool{false, true} {
		for name, program := range innocent.Programs {
			t.Run(fmt.Sprintf("%s/%v", name, https), func(t *testing.T) {
				t.Parallel()
				server := serve(t, innocent.Rows, https)
				client := trusting(t, server) // fails t itself
				hurried := &http.Client{Transport: client.Transport, Timeout: time.Minute}
				for _, client := range []*http.Client{client, hurried, proxied(t, client.Transport, server.URL)} {
					resp, err := client.Get(server.URL)
					require.NoError(t, err)
					got, err := program(resp)
					require.NoError(t, err)
					if got != "" {
						assert.Equal(t, want.Body.String(), got)
					}
					if client == hurried {
						_ = resp.Body.Close() // or a goroutine of http.Client's own stays until its Timeout
					}
				}
				assert.NoError(t, leaktest.Find(client.Transport.(*transport.Transport)))
			})
		}
	}
}

// proxied returns a client that sends through a reverse proxy over rt.
func proxied(t *testing.T, rt http.RoundTripper, target string) *http.Client {
	to, err := url.Parse(target)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:     rt,
		FlushInterval: -1,
	})
	front, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	plain := &http.Transport{}
	t.Cleanup(func() {
		plain.CloseIdleConnections()
		proxy.Close()
	})
	return &http.Client{Transport: redirected{front, plain}}
}

// redirected sends requests to another server.
type redirected struct {
	to *url.URL
	rt http.RoundTripper
}

func (r redirected) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.URL.Scheme, own.URL.Host = r.to.Scheme, r.to.Host
	return r.rt.RoundTrip(own)
}

// Responses that have no body are never blamed, nor are redirects, whose bodies http.Client closes, nor requests that failed.
func TestNoBodyNoBlame(t *testing.T) {
	for _, https := range []bool{false, true} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var status int
			_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
			switch status {
			case 302:
				http.Redirect(w, r, "/204", status)
			case 500:
				panic(http.ErrAbortHandler)
			default:
				w.WriteHeader(status)
			}
		}, https)
		client := trusting(t, server)
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
			for _, path := range []string{"/200", "/204", "/304", "/302"} {
				req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
				require.NoError(t, err)
				_, err = client.Do(req)
				require.NoError(t, err)
			}
		}
		_, err := client.Get(server.URL + "/500")
		require.Error(t, err)
		assert.NoError(t, leaktest.Find(client.Transport.(*transport.Transport)))
	}
}

// Each careless program is found, whatever its transport looks like from outside, and its connection taken back so that the
// server can end.
func TestCarelessProgramsAreFound(t *testing.T) {
	for _, https := range []bool{false, true} {
		server := serve(t, bytesOf, https)
		for name, program := range map[string]func(client *http.Client, url string) error{
			"detached":  func(client *http.Client, url string) error { neverClosed(client, url+"/10"); return nil },
			"streaming": func(client *http.Client, url string) error { return halfRead(client, url+"/1000000") },
			"silent":    func(client *http.Client, url string) error { neverClosed(client, url+"/hang"); return nil },
			"cancelled": func(client *http.Client, url string) error { return cancelled(client, url+"/hang") },
		} {
			t.Run(fmt.Sprintf("%s/%v", name, https), func(t *testing.T) {
				d := &double{TB: t}
				client := trusting(d, server)
				require.NoError(t, program(client, server.URL))
				assert.ErrorContains(t, leaktest.Find(client.Transport.(*transport.Transport)), "careless_test.go:")
				assert.Contains(t, d.finish(), "1 response body leaked")
				assert.Zero(t, client.Transport.(*transport.Transport).Stats().Open)
			})
		}
	}
}

// Wrappers around a body hide nothing: those of http.Client with a Timeout, and those of the program.
func TestBehindWrappers(t *testing.T) {
	server := serve(t, bytesOf, false)
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	client.Timeout = time.Minute
	resp, err := client.Get(server.URL + "/100000")
	require.NoError(t, err)
	_, err = bufio.NewReader(struct{ io.Reader }{resp.Body}).ReadString('\n')
	require.NoError(t, err)
	assert.Regexp(t, `GET .*/100000, \d+ bytes read of an unknown number`, d.finish())
	require.NoError(t, resp.Body.Close()) // or a goroutine of http.Client's own stays until its Timeout
}

// The guard works as ever under it: a dropped body is reclaimed and reported. It is found all the same.
func TestTheGuardStillWorks(t *testing.T) {
	for _, path := range []string{"/1000000", "/1000000?zip"} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var out io.Writer = w
			if r.URL.Query().Has("zip") {
				w.Header().Set("Content-Encoding", "gzip")
				zw := gzip.NewWriter(w)
				defer zw.Close()
				out = zw
			}
			_, _ = io.CopyN(out, rand.NewChaCha8([32]byte{}), 1000000)
		}, false)
		leaks := make(chan transport.Leak, 1)
		tr := transport.New()
		tr.OnLeak = func(l transport.Leak) { leaks <- l }
		require.NoError(t, halfRead(&http.Client{Transport: tr}, server.URL+path))
		within(t, "reclaimed", func() bool { runtime.GC(); return len(leaks) == 1 })
		assert.Equal(t, transport.Dropped, (<-leaks).Cause)
		assert.Zero(t, tr.Stats().Leased)
		err := leaktest.Find(tr)
		require.ErrorContains(t, err, "careless_test.go:20: leaktest_test.halfRead")
		require.ErrorContains(t, err, "it may cost a connection")
		d := &double{TB: t}
		leaktest.VerifyNone(d, tr)
		assert.Len(t, d.errors, 1)
		require.NoError(t, tr.Close())
	}
}

// A dropped Transport is collected with its connections although it is recorded.
func TestADroppedTransportIsCollected(t *testing.T) {
	server := serve(t, bytesOf, false)
	var open atomic.Int64
	dropped := func() weak.Pointer[transport.Transport] {
		tr := transport.New()
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			open.Add(1)
			return &counted{Conn: nc, open: &open}, err
		}
		resp, err := (&http.Client{Transport: tr}).Get(server.URL + "/10")
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		return weak.Make(tr)
	}()
	within(t, "collected", func() bool { runtime.GC(); return dropped.Value() == nil && open.Load() == 0 })
}

// Transports that are no more, and have nothing left to tell, are forgotten; one with a leak is not.
func TestCollectedTransportsAreForgotten(t *testing.T) {
	server := serve(t, bytesOf, false)
	before := leaktest.Records()
	use := func(program func(*http.Client)) {
		tr := transport.New()
		tr.DisableKeepAlives = true
		program(&http.Client{Transport: tr})
	}
	use(func(client *http.Client) { neverClosed(client, server.URL+"/10") })
	for range 10 {
		for range 100 {
			use(func(client *http.Client) { get(t, client, server.URL+"/10") })
		}
		runtime.GC()
	}
	assert.Less(t, leaktest.Records(), before+600)
	output := new(strings.Builder)
	assert.Equal(t, 1, leaktest.Check(output))
	assert.Contains(t, output.String(), "1 response body leaked")
}

// A counted connection counts itself out when it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// A finished body is finished, however it came to its end, and what is asked of it afterwards changes nothing.
func TestFinished(t *testing.T) {
	server := serve(t, bytesOf, false)
	for name, end := range map[string]func(t *testing.T, resp *http.Response){
		"io.Copy": func(t *testing.T, resp *http.Response) {
			n, err := io.Copy(io.Discard, resp.Body)
			assert.NoError(t, err)
			assert.EqualValues(t, 100000, n)
		},
		"WriteTo": func(t *testing.T, resp *http.Response) {
			_, err := resp.Body.(io.WriterTo).WriteTo(io.Discard)
			assert.NoError(t, err)
		},
		"closed twice": func(t *testing.T, resp *http.Response) {
			assert.NoError(t, resp.Body.Close())
			assert.NoError(t, resp.Body.Close())
			_, err := resp.Body.Read(make([]byte, 1))
			assert.Equal(t, http.ErrBodyReadAfterClose, err)
		},
		"lines": func(t *testing.T, resp *http.Response) {
			n := 0
			for s := bufio.NewScanner(resp.Body); s.Scan(); n++ {
			}
			assert.Equal(t, 10000, n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := leaktest.NewClient(t)
			resp, err := client.Get(server.URL + "/100000")
			require.NoError(t, err)
			tr := client.Transport.(*transport.Transport)
			require.Error(t, leaktest.Find(tr), "before")
			end(t, resp)
			assert.NoError(t, leaktest.Find(tr))
		})
	}
}

type full struct{}

func (full) Write(p []byte) (int, error) { return len(p) / 2, nil }

// A copy that ended because its writer failed has not finished the body.
func TestAFailedWriterFinishesNothing(t *testing.T) {
	server := serve(t, bytesOf, false)
	for _, path := range []string{"/10", "/100000"} {
		d := &double{TB: t}
		client := trusting(d, server)
		resp, err := client.Get(server.URL + path)
		require.NoError(t, err)
		_, err = io.Copy(full{}, resp.Body)
		require.Equal(t, io.ErrShortWrite, err)
		assert.Error(t, leaktest.Find(client.Transport.(*transport.Transport)))
		require.NoError(t, resp.Body.Close())
		assert.Empty(t, d.finish())
	}
}

// VerifyNone tells once, Find as often as it is asked; a Transport without a request has nothing to tell.
func TestVerifyNone(t *testing.T) {
	server := serve(t, bytesOf, false)
	tr := transport.New()
	defer tr.Close()
	assert.NoError(t, leaktest.Find(tr))
	leaktest.VerifyNone(t, tr)
	neverClosed(&http.Client{Transport: tr}, server.URL+"/10")
	for range 2 {
		assert.Error(t, leaktest.Find(tr))
	}
	d := &double{TB: t}
	leaktest.VerifyNone(d, tr)
	leaktest.VerifyNone(d, tr)
	assert.Len(t, d.errors, 1)
	assert.NoError(t, leaktest.Find(tr))
	assert.PanicsWithValue(t, "leaktest: nil *transport.Transport", func() { _ = leaktest.Find(nil) })
}

// Neither the query, nor credentials, nor headers, nor what is sent appears in a report; RedactURL has its say.
func TestNothingSecretIsTold(t *testing.T) {
	server := serve(t, bytesOf, false)
	d := &double{TB: t}
	tr := leaktest.NewTransport(d)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, strings.Replace(server.URL, "://", "://secret:secret@", 1)+"/10?token=secret", strings.NewReader("secret"))
	require.NoError(t, err)
	req.Header.Set("Authorization", "secret")
	_, err = (&http.Client{Transport: tr}).Do(req)
	require.NoError(t, err)
	report := d.finish()
	assert.Contains(t, report, "POST "+server.URL+"/10, ")
	assert.NotContains(t, report, "secret")

	d = &double{TB: t}
	tr = leaktest.NewTransport(d)
	tr.RedactURL = func(*url.URL) string { return "somewhere" }
	neverClosed(&http.Client{Transport: tr}, server.URL+"/10")
	assert.Contains(t, d.finish(), "GET somewhere, 0 of 10 bytes read")
}

// A decoder takes the last bytes for all there is. Whether the end of a body of unknown size came with them is chance, and no excuse;
// of a known size nothing is left then.
func TestDecodersLeaveTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		flush bool
		want  int
	}{"unknown size": {true, 10}, "known size": {false, 0}} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `["answer"]`)
				if tt.flush {
					w.(http.Flusher).Flush()
				}
			}, false)
			d := &double{TB: t}
			client := leaktest.NewClient(d)
			for range 10 {
				resp, err := client.Get(server.URL)
				require.NoError(t, err)
				var answer []string
				require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
			}
			if tt.want == 0 {
				assert.Empty(t, d.finish())
			} else {
				assert.Contains(t, d.finish(), fmt.Sprintf("leaktest: %d response bodies leaked\n", tt.want))
			}
		})
	}
}

// A middleware is a RoundTripper of the program's: it asks because somebody asked it.
type middleware struct{ http.RoundTripper }

func (m middleware) RoundTrip(req *http.Request) (*http.Response, error) {
	return m.RoundTripper.RoundTrip(req)
}

// The line that is named is that of who called the client.
func TestBeneathTheClient(t *testing.T) {
	server := serve(t, bytesOf, false)
	d := &double{TB: t}
	client := leaktest.NewClient(d)
	for range 10 {
		client.Transport = middleware{client.Transport}
	}
	neverClosed(client, server.URL+"/10")
	report := d.finish()
	assert.Contains(t, report, "leaktest_test.neverClosed")
	assert.NotContains(t, report, "middleware")
}

// A response of HTTP/2 that has no bytes is none to close, also where its stream ends later.
func TestNoBytesNoBlame(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.(http.Flusher).Flush()
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	d := &double{TB: t}
	client := trusting(d, server)
	for range 20 {
		resp, err := client.Get(server.URL)
		require.NoError(t, err)
		require.Equal(t, 2, resp.ProtoMajor)
	}
	assert.Empty(t, d.finish())
}
