//go:build linux

package transport_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// secret is in everything that is nobody's business: user info, query and fragment, credentials and other header values on both
// sides, cookies, bodies, trailers, the address of a redirect.
const secret = "s3cret"

// secretRequest makes a request full of secrets.
func secretRequest(t *testing.T, method, to string, upload bool) *http.Request {
	u, err := url.Parse(to)
	require.NoError(t, err)
	u.User, u.RawQuery, u.Fragment = url.UserPassword(secret, secret), "token="+secret, secret
	var body io.Reader
	if upload {
		body = io.MultiReader(strings.NewReader(secret)) // chunked
	}
	req, err := http.NewRequestWithContext(t.Context(), method, u.String(), body)
	require.NoError(t, err)
	req.Header = http.Header{
		"Authorization": {"Bearer " + secret}, "Cookie": {"id=" + secret}, "X-Key": {secret}, "User-Agent": {secret}, "Proxy-Authorization": {secret},
	}
	if upload {
		req.Trailer = http.Header{"X-Sum": {secret}}
	}
	return req
}

// secretAnswer is the beginning of a response full of secrets.
const secretAnswer = "X-Key: " + secret + "\r\nSet-Cookie: id=" + secret + "\r\nWWW-Authenticate: Basic realm=" + secret + "\r\n"

// An exposure collects everything that can be seen of a Transport.
type exposure struct {
	log   lockedBuffer
	mu    sync.Mutex // guards the field below
	shown bytes.Buffer
}

func (e *exposure) show(what string, v any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintf(&e.shown, "%s: %+v\n", what, v)
	if b, err := json.Marshal(v); err == nil {
		fmt.Fprintf(&e.shown, "%s: %s\n", what, b)
	}
}

// failure shows an error, and all that it wraps as far as that is ours.
func (e *exposure) failure(what string, err error) {
	for ; err != nil; err = errors.Unwrap(err) {
		e.show(what, err)
		e.show(what, err.Error())
	}
}

// watch sets what a Transport tells.
func (e *exposure) watch(tr *transport.Transport) {
	tr.Logger = slog.New(slog.NewJSONHandler(&e.log, &slog.HandlerOptions{Level: slog.LevelDebug - 100, AddSource: true}))
	tr.RecordStacks = true
}

// look shows all that can be asked of a Transport; the status page, whose test plants secrets too, shows nothing else.
func (e *exposure) look(t *testing.T, tr *transport.Transport) {
	e.show("stats", tr.Stats())
	e.show("diagnose", tr.Diagnose())
	e.show("connections", tr.Connections())
	e.show("bodies", tr.OpenBodies())
	var profile bytes.Buffer
	require.NoError(t, tr.WriteProfile(&profile))
	zr, err := gzip.NewReader(&profile)
	require.NoError(t, err)
	plain, err := io.ReadAll(zr)
	require.NoError(t, err)
	e.show("profile", string(plain))
}

// judge wants that no secret is in what was shown.
func (e *exposure) judge(t *testing.T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	require.NotEmpty(t, e.shown.String())
	for line := range strings.Lines(e.shown.String() + e.log.String()) {
		for _, s := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret + ":" + secret))} {
			if at := strings.Index(line, s); at >= 0 {
				what, _, _ := strings.Cut(line, ":")
				t.Errorf("%s shows a secret: %q", what, line[max(0, at-100):min(len(line), at+50)])
			}
		}
	}
}

// Leaked bodies, requests that starve, timeouts and resets, over everything: whatever is logged, returned or shown tells with whom and
// what, and no secret.
func TestSecretsOfExchanges(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		for line := range strings.Lines(secretAnswer) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			w.Header().Add(name, value)
		}
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/silent":
			<-r.Context().Done()
			return
		case "/redirect":
			http.Redirect(w, r, "http://me:"+secret+"@127.0.0.1:1/?token="+secret, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat(secret, 10000))
		w.(http.Flusher).Flush()
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/large":
			_, _ = io.Copy(w, io.LimitReader(endless{}, 1<<22))
		}
		w.Header().Set("X-Sum", secret)
	}
	proxy := startProxy(t)
	through, err := url.Parse(strings.Replace(proxy.URL, "://", "://"+secret+":"+secret+"@", 1))
	require.NoError(t, err)
	for _, proxied := range []bool{false, true} {
		everywhere(t, handler, func(s *story) {
			if s.ours == nil {
				return
			}
			var e exposure
			e.watch(s.ours)
			hasty := s.ours.Clone()
			defer func() { assert.NoError(s, hasty.Close()) }()
			hasty.ResponseHeaderTimeout = 200 * time.Millisecond
			fetch := func(method, path string) {
				tr := map[bool]*transport.Transport{true: hasty, false: s.ours}[path == "/silent"]
				resp, err := tr.RoundTrip(secretRequest(s.T, method, s.server.URL+path, method == http.MethodPost))
				e.failure(path, err)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					e.failure(path, err)
					e.failure(path, resp.Body.Close())
				}
			}
			for _, path := range []string{"/", "/redirect", "/silent", "/abort"} {
				fetch(http.MethodGet, path)
				fetch(http.MethodPost, path)
			}
			ctx, cancel := context.WithCancelCause(s.Context())
			resp, err := s.ours.RoundTrip(secretRequest(s.T, http.MethodGet, s.server.URL+"/large", false).WithContext(ctx))
			require.NoError(s, err)
			e.look(s.T, s.ours) // while it is open
			cancel(errors.New("enough"))
			_, err = io.Copy(io.Discard, resp.Body)
			e.failure("cancelled", err)
			_, err = s.ours.RoundTrip(secretRequest(s.T, http.MethodGet, s.server.URL+"/large", false))
			require.NoError(s, err)
			if !proxied || s.server.TLS != nil { // a response that the test's proxy makes up is detached
				s.eventuallyCollected("reported", func() bool { return strings.Contains(e.log.String(), "neither closed") })
			}
			e.look(s.T, s.ours)
			e.judge(s.T)
		}, func(tr *http.Transport) {
			if proxied {
				tr.Proxy = http.ProxyURL(through)
			}
		})
	}
}

// A request that starves is told who holds the connections, and the reader of a body that was taken back what became of it.
func TestSecretsOfHolders(t *testing.T) {
	ours(t, sized, func(s *story) {
		var e exposure
		e.watch(s.ours)
		s.ours.MaxConnsPerHost, s.ours.AcquireTimeout = 1, 50*time.Millisecond
		s.ours.OnLeak = func(l transport.Leak) { e.show("leak", l) }
		forgetful := s.ours.Clone()
		defer func() { assert.NoError(s, forgetful.Close()) }()
		if !s.http2 {
			open, err := s.ours.RoundTrip(secretRequest(s.T, http.MethodGet, s.server.URL+"/1000000", false))
			require.NoError(s, err)
			_, err = s.ours.RoundTrip(secretRequest(s.T, http.MethodGet, s.server.URL+"/10", false))
			var starved *transport.AcquireError
			require.ErrorAs(s, err, &starved)
			e.show("holders", *starved)
			e.failure("starved", err)
			require.NoError(s, open.Body.Close())
		}
		forgetful.LeakTimeout = 50 * time.Millisecond
		open, err := forgetful.RoundTrip(secretRequest(s.T, http.MethodGet, s.server.URL+"/1000000", false))
		require.NoError(s, err)
		s.eventually("taken back", func() bool { return forgetful.Stats().Leaks[transport.Forgotten] == 1 })
		_, err = io.ReadAll(open.Body)
		if !s.http2 {
			var late *transport.ReclaimedError
			require.ErrorAs(s, err, &late)
			e.show("reclaimed", *late)
		}
		e.failure("late", err)
		s.eventually("reported", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return strings.Contains(e.shown.String(), "leak: ")
		})
		e.judge(s.T)
	})
}

// What a server does wrong is said without the values that it sent.
func TestSecretsOfBadResponses(t *testing.T) {
	const head, chunked = okLine + secretAnswer, okLine + secretAnswer + "Transfer-Encoding: chunked\r\n\r\n"
	for name, raw := range map[string]string{
		"cut":                     head,
		"no colon":                head + "X-More " + secret + "\r\n\r\n",
		"the rest of a value":     head + secret + "\r\n\r\n",
		"a cookie without a name": head + "id=" + secret + "\r\n\r\n",
		"NUL":                     head + "X-More: " + secret + "\x00\r\n\r\n",
		"bare CR":                 head + "X-More: " + secret + "\r" + secret + "\r\n\r\n",
		"a space before a colon":  head + "X-More : " + secret + "\r\n\r\n",
		"an empty name":           head + ": " + secret + "\r\n\r\n",
		"a length":                head + "Content-Length: " + secret + "\r\n\r\n",
		"two lengths":             head + "Content-Length: 1\r\nContent-Length: " + secret + "\r\n\r\n",
		"a coding":                head + "Transfer-Encoding: " + secret + "\r\n\r\n",
		"endless":                 head + strings.Repeat("X-More: "+secret+"\r\n", 20000),
		"a trailer announced":     head + "Trailer: Content-Length, " + secret + "\r\nTransfer-Encoding: chunked\r\n\r\n",
		"a short body":            head + "Content-Length: 100\r\n\r\n" + secret,
		"a body too long":         head + "Content-Length: 1\r\n\r\n" + secret,
		"a chunk size":            chunked + secret + "\r\n",
		"a chunk":                 chunked + "1\r\n" + secret + "\r\n",
		"a chunk extension":       chunked + "1;" + secret + "\x00\r\n",
		"a trailer":               chunked + "0\r\nX-Sum " + secret + "\r\n\r\n",
		"a value in a trailer":    chunked + "0\r\nX-Sum: " + secret + "\x00\r\n\r\n",
		"gzip":                    head + "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + secret + secret,
	} {
		t.Run(name, func(t *testing.T) {
			server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Write(raw), badserver.FIN{}, badserver.Stall{}})
			tr := &transport.Transport{MaxResponseHeaderBytes: 10000}
			var e exposure
			e.watch(tr)
			req := secretRequest(t, http.MethodGet, server.URL+"/", false)
			resp, err := tr.RoundTrip(req)
			e.failure("error", err)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				e.failure("error", err)
			}
			if name != "a body too long" {
				require.Error(t, err)
			}
			e.look(t, tr)
			e.judge(t)
			assert.NoError(t, tr.Close())
		})
	}
}

// Requests that are refused, and dials that fail, say why without what else is in the request or the proxy's URL.
func TestSecretsOfRefusals(t *testing.T) {
	proxied := func(proxy string) func(*transport.Transport, *http.Request) {
		return func(tr *transport.Transport, _ *http.Request) {
			tr.Proxy = func(*http.Request) (*url.URL, error) {
				u := &url.URL{User: url.UserPassword(secret, secret), RawQuery: secret}
				u.Scheme, u.Host, _ = strings.Cut(proxy, "://")
				return u, nil
			}
		}
	}
	refusing := startProxy(t)
	refusing.refuse = http.StatusProxyAuthRequired
	socks := startSOCKS(t, "")
	socks.reply = 2
	speaksNone := startProxy(t)
	for name, change := range map[string]func(*transport.Transport, *http.Request){
		"nobody there":       func(_ *transport.Transport, r *http.Request) { r.URL.Host = "127.0.0.1:1" },
		"no such host":       func(_ *transport.Transport, r *http.Request) { r.URL.Host = "nowhere.invalid:1" },
		"a bad host":         func(_ *transport.Transport, r *http.Request) { r.URL.Host = "127.0.0.1:http:1" },
		"a header value":     func(_ *transport.Transport, r *http.Request) { r.Header.Set("X-More", secret+"\n") },
		"a trailer value":    func(_ *transport.Transport, r *http.Request) { r.Trailer = http.Header{"X-More": {secret + "\n"}} },
		"a query":            func(_ *transport.Transport, r *http.Request) { r.URL.RawQuery = secret + "\n" },
		"an opaque URL":      func(_ *transport.Transport, r *http.Request) { r.URL.Opaque = "x?" + secret + "\n" },
		"a relative path":    func(_ *transport.Transport, r *http.Request) { r.URL.Opaque = "x?" + secret },
		"a Connection field": func(_ *transport.Transport, r *http.Request) { r.Header.Set("Connection", secret) },
		"an Upgrade field":   func(_ *transport.Transport, r *http.Request) { r.Header.Set("Upgrade", secret) },
		"a coding field":     func(_ *transport.Transport, r *http.Request) { r.Header.Set("Transfer-Encoding", secret) },
		"no scheme":          func(_ *transport.Transport, r *http.Request) { r.URL.Scheme = "ftp" },
		"no host":            func(_ *transport.Transport, r *http.Request) { r.URL.Host = "" },
		"an unknown proxy":   proxied("gopher://127.0.0.1:1"),
		"no proxy there":     proxied("http://127.0.0.1:1"),
		"no such proxy":      proxied("http://nowhere.invalid:1"),
		"a bad proxy":        proxied("http://127.0.0.1:http:1"),
		"a proxy that is no": proxied("https://" + speaksNone.Listener.Addr().String()),
		"a proxy's refusal":  proxied("http://" + refusing.Listener.Addr().String()),
		"a SOCKS refusal":    proxied("socks5://" + socks.Addr().String()),
		"no SOCKS there":     proxied("socks5://127.0.0.1:1"),
		"a certificate":      func(tr *transport.Transport, _ *http.Request) { tr.TLSClientConfig = nil },
		"a length": func(_ *transport.Transport, r *http.Request) {
			r.Method, r.ContentLength, r.Body = http.MethodPost, 3, io.NopCloser(strings.NewReader(secret))
		},
	} {
		for _, mode := range []string{"https", "http2"} {
			t.Run(name+" "+mode, func(t *testing.T) {
				w := newSeparateWorld(t, mode, "http")
				tr := &transport.Transport{TLSClientConfig: trust(w.server), ForceAttemptHTTP2: mode == "http2", TLSHandshakeTimeout: time.Second}
				var e exposure
				e.watch(tr)
				req := secretRequest(t, http.MethodGet, w.server.URL+"/", false)
				change(tr, req)
				resp, err := tr.RoundTrip(req)
				if err == nil { // it is sent over HTTP/1.1
					require.Equal(t, "https", mode)
					_, err = io.Copy(io.Discard, resp.Body)
					require.NoError(t, err)
				}
				e.failure("error", err)
				e.look(t, tr)
				e.judge(t)
				assert.NoError(t, tr.Close())
			})
		}
	}
}
