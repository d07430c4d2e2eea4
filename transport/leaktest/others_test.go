package leaktest_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

func portOf(t *testing.T, raw string) uint16 {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	require.NoError(t, err)
	return uint16(n)
}

// Tests side by side have their own transports, and none is blamed for another's leak.
func TestParallel(t *testing.T) {
	server := serve(t, bytesOf, false)
	for i := range 20 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			d := &double{TB: t}
			client := leaktest.NewClient(d)
			for range 5 {
				get(t, client, server.URL+"/100000")
			}
			leaks := i % 3
			for range leaks {
				neverClosed(client, fmt.Sprintf("%s/%d0", server.URL, i+1))
			}
			report := d.finish()
			if leaks == 0 {
				assert.Empty(t, report)
				return
			}
			assert.Contains(t, report, fmt.Sprintf("/%d0, 0 of %d bytes read", i+1, 10*(i+1)))
			assert.Equal(t, leaks > 1, len(report) > 0 && report[len("leaktest: ")] == '2')
		})
	}
}

// goleak has nothing to ignore, whether it looks before our check or after it. A look before it is one at a test that has
// closed its server.
func TestWithGoleak(t *testing.T) {
	for name, program := range map[string]func(t *testing.T){
		"deferred first": func(t *testing.T) {
			defer goleak.VerifyNone(t)
			server := httptest.NewServer(http.HandlerFunc(bytesOf))
			defer server.Close()
			get(t, leaktest.NewClient(t), server.URL+"/100000")
		},
		"deferred last": func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(bytesOf))
			client := leaktest.NewClient(t)
			defer goleak.VerifyNone(t)
			defer server.Close()
			get(t, client, server.URL+"/100000")
		},
		"cleanup before": func(t *testing.T) {
			t.Cleanup(func() { goleak.VerifyNone(t) })
			server := serve(t, bytesOf, false)
			get(t, leaktest.NewClient(t), server.URL+"/100000")
		},
		"cleanup after": func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(bytesOf))
			client := leaktest.NewClient(t)
			t.Cleanup(func() { goleak.VerifyNone(t) })
			t.Cleanup(server.Close)
			get(t, client, server.URL+"/100000")
		},
		"a leak, found by ours": func(t *testing.T) {
			defer goleak.VerifyNone(t)
			server := httptest.NewServer(http.HandlerFunc(bytesOf))
			defer server.Close()
			d := &double{TB: t}
			require.NoError(t, halfRead(leaktest.NewClient(d), server.URL+"/1000000"))
			assert.Contains(t, d.finish(), "1 response body leaked")
		},
		"default": func(t *testing.T) {
			t.Cleanup(func() { goleak.VerifyNone(t) })
			server := serve(t, bytesOf, false)
			leaktest.VerifyDefault(t)
			get(t, http.DefaultClient, server.URL+"/100000")
		},
	} {
		t.Run(name, program)
	}
}

// An upgrade is open until it is closed; its end of input is none of ours.
func TestUpgrades(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello")
		_ = rw.Flush()
	}, false)
	for _, closes := range []bool{false, true} {
		d := &double{TB: t}
		client := leaktest.NewClient(d)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := client.Do(req)
		require.NoError(t, err)
		_, ok := resp.Body.(interface {
			io.ReadWriteCloser
			CloseWrite() error
		})
		require.True(t, ok, "%T", resp.Body)
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(b))
		if closes {
			require.NoError(t, resp.Body.Close())
			assert.Empty(t, d.finish())
		} else {
			assert.Contains(t, d.finish(), "5 bytes read of an unknown number")
		}
	}
}

// Bodies over HTTP/2 are seen, and their streams taken back.
func TestHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(bytesOf))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for name, set := range map[string]func(*transport.Transport){
		"ours": func(*transport.Transport) {},
		"another's": func(tr *transport.Transport) {
			tr.TLSClientConfig = tr.TLSClientConfig.Clone()
			tr.TLSClientConfig.NextProtos = []string{"h2"}
			tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{
				"h2": func(_ string, c *tls.Conn) http.RoundTripper {
					cc, err := new(http2.Transport).NewClientConn(c)
					if !assert.NoError(t, err) {
						return nil
					}
					return cc
				},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &double{TB: t}
			client := trusting(d, server)
			tr := client.Transport.(*transport.Transport)
			set(tr)
			resp, err := client.Get(server.URL + "/10")
			require.NoError(t, err)
			require.Equal(t, 2, resp.ProtoMajor)
			require.NoError(t, resp.Body.Close())
			resp, err = client.Get(server.URL + "/10000000")
			require.NoError(t, err)
			report := d.finish()
			assert.Contains(t, report, "leaktest: 1 response body leaked\n")
			assert.Contains(t, report, "it may cost a connection")
			assert.Zero(t, tr.Stats().Open)
			_, err = resp.Body.Read(make([]byte, 1))
			assert.Error(t, err, "the stream was taken back")
		})
	}
}

// A protocol that somebody else answers has bodies too.
func TestRegisteredProtocols(t *testing.T) {
	d := &double{TB: t}
	tr := leaktest.NewTransport(d)
	tr.RegisterProtocol("file", http.NewFileTransport(http.Dir(".")))
	client := &http.Client{Transport: tr}
	get(t, client, "file:///doc.go")
	_, err := client.Head("file:///doc.go") // a pipe that nothing comes through is no body
	require.NoError(t, err)
	resp, err := client.Get("file:///doc.go")
	require.NoError(t, err)
	assert.Contains(t, d.finish(), "leaktest: 1 response body leaked\n\nGET file:///doc.go, 0 bytes read of an unknown number")
	require.NoError(t, resp.Body.Close())
}

// readWriter is a body that can be written to, for reasons of its maker's.
type readWriter struct {
	io.Reader
	io.Writer
	io.Closer
}

func (readWriter) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Request: req, Body: readWriter{strings.NewReader("hello"), io.Discard, io.NopCloser(nil)}}, nil
}

// Only the body of an upgrade outlives what it reads, not whatever can be written to.
func TestWritableBodies(t *testing.T) {
	tr := leaktest.NewTransport(t)
	tr.RegisterProtocol("memory", readWriter{})
	resp, err := (&http.Client{Transport: tr}).Get("memory:///")
	require.NoError(t, err)
	assert.Error(t, leaktest.Find(tr))
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
	assert.NoError(t, leaktest.Find(tr))
}
