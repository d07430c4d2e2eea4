package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// http.Client says that its Timeout was the reason where the dial takes too long, and nothing is left of it.
func TestClientTimeoutInTheDial(t *testing.T) {
	everywhere(t, echo, func(s *story) {
		client := &http.Client{Transport: s.rt, Timeout: 30 * time.Millisecond}
		body := &countedBody{Reader: strings.NewReader("hello")}
		_, err := client.Post(s.server.URL, "text/plain", body)
		require.ErrorContains(s, err, "Client.Timeout exceeded while awaiting headers")
		var ue *url.Error
		require.ErrorAs(s, err, &ue)
		assert.True(s, ue.Timeout())
		s.eventually("closed", func() bool { return body.closes.Load() == 1 })
	}, func(tr *http.Transport) {
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			select { // the dial outlives the request, not the transport
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-over:
				return nil, errors.New("nobody there")
			}
		}
	})
}

// A redirect that keeps method and body sends the body again where GetBody can tell it; where nobody can, the redirect itself
// is the response. A body that was half sent when the redirect came is no hindrance.
func TestRedirectsWithBodies(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		var code int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &code); err == nil {
			if r.URL.Query().Has("read") {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			http.Redirect(w, r, "/end", code)
			return
		}
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d %s", r.Method, len(b), r.Header.Get("Content-Type"))
	}
	everywhere(t, handler, func(s *story) {
		client := &http.Client{Transport: s.rt}
		large := string(pattern(1 << 20))
		for path, want := range map[string]string{
			"/301": "GET 0 ", "/302": "GET 0 ", "/303?read": "GET 0 ",
			"/307": "PUT 1048576 a/b", "/308": "PUT 1048576 a/b", "/308?read": "PUT 1048576 a/b",
		} {
			req := s.request(http.MethodPut, path, strings.NewReader(large))
			req.Header.Set("Content-Type", "a/b")
			resp, err := client.Do(req)
			require.NoError(s, err, path)
			assert.True(s, strings.HasPrefix(s.read(resp), strings.TrimSuffix(want, " ")), path)
		}
		resp, err := client.Post(s.server.URL+"/307?read", "a/b", struct{ io.Reader }{strings.NewReader(large)})
		require.NoError(s, err)
		assert.Equal(s, http.StatusTemporaryRedirect, resp.StatusCode)
		s.read(resp)
		s.wantNothingHeld()
	})
}

// With ErrUseLastResponse the redirect is the response, its body open and whole.
func TestErrUseLastResponse(t *testing.T) {
	handler := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = w.Write(pattern(100000))
	}
	everywhere(t, handler, func(s *story) {
		client := &http.Client{Transport: s.rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		for range 2 {
			resp, err := client.Get(s.server.URL)
			require.NoError(s, err)
			assert.Equal(s, http.StatusFound, resp.StatusCode)
			assert.Equal(s, string(pattern(100000)), s.read(resp))
		}
		s.wantDials(1)
		s.wantNothingHeld()
	})
}

// Cookies that come with any response of a chain are kept and sent, and those that come several times over are all
// there; user info in the URL becomes Authorization with http.Client and without it is not sent.
func TestCookiesAndUserInfo(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/set":
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
			w.WriteHeader(http.StatusNoContent)
		case "/more":
			http.SetCookie(w, &http.Cookie{Name: "c", Value: "3"})
			http.Redirect(w, r, "/tell", http.StatusFound)
		default:
			user, _, _ := r.BasicAuth()
			fmt.Fprint(w, r.Header.Get("Cookie"), " ", user)
		}
	}
	everywhere(t, handler, func(s *story) {
		jar, err := cookiejar.New(nil)
		require.NoError(s, err)
		client := &http.Client{Transport: s.rt, Jar: jar}
		resp, err := client.Get(s.server.URL + "/set")
		require.NoError(s, err)
		assert.Len(s, resp.Cookies(), 2)
		s.read(resp)
		named := strings.Replace(s.server.URL, "://", "://me:secret@", 1)
		resp, err = client.Get(named + "/more")
		require.NoError(s, err)
		assert.Equal(s, "a=1; b=2; c=3 me", s.read(resp))
		req := s.request(http.MethodGet, "/tell", nil)
		req.URL.User = url.UserPassword("user", "secret")
		assert.Equal(s, " ", s.read(s.send(req)))
		s.wantDials(1)
	})
}

// A client that speaks another protocol after a 101 finds an io.ReadWriteCloser behind http.Client, and keeps it past the
// request's context; with a Timeout http.Client wraps it for reading alone.
func TestUpgradeBehindClient(t *testing.T) {
	everywhere1(t, upgradeEcho, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		resp, err := (&http.Client{Transport: s.rt}).Do(s.upgrade().WithContext(ctx))
		require.NoError(s, err)
		require.Equal(s, http.StatusSwitchingProtocols, resp.StatusCode)
		assert.Equal(s, "echo", resp.Header.Get("Upgrade"))
		cancel()
		rwc, ok := resp.Body.(io.ReadWriteCloser)
		require.True(s, ok, "%T", resp.Body)
		for _, word := range []string{"hello", "world"} {
			_, err = io.WriteString(rwc, word)
			require.NoError(s, err)
			b := make([]byte, len(word))
			_, err = io.ReadFull(rwc, b)
			require.NoError(s, err)
			assert.Equal(s, word, string(b))
		}
		assert.NoError(s, rwc.Close())

		resp, err = (&http.Client{Transport: s.rt, Timeout: time.Minute}).Do(s.upgrade())
		require.NoError(s, err)
		_, ok = resp.Body.(io.Writer)
		assert.False(s, ok)
		assert.NoError(s, resp.Body.Close())
		s.wantNothingHeld()
	})
}

// CloseIdleConnections reaches the transport through http.Client: connections in use end their exchange and are closed then.
func TestClientClosesIdleConnections(t *testing.T) {
	everywhere1(t, sized, func(s *story) {
		client := &http.Client{Transport: s.rt}
		busy, err := client.Get(s.server.URL + "/1000000")
		require.NoError(s, err)
		resp, err := client.Get(s.server.URL + "/10")
		require.NoError(s, err)
		s.read(resp)
		client.CloseIdleConnections()
		assert.Len(s, s.read(busy), 1000000)
		if s.ours != nil {
			s.eventually("closed", func() bool { return s.ours.Stats().Open == 0 })
		}
		resp, err = client.Get(s.server.URL + "/10")
		require.NoError(s, err)
		s.read(resp)
		s.wantDials(3)
		client.CloseIdleConnections()
		if s.ours != nil {
			assert.Zero(s, s.ours.Stats().Open)
		}
	})
}
