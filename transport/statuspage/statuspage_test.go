package statuspage_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/statuspage"
)

var update = flag.Bool("update", false, "write the golden file anew")

// inBubble tells a story in a bubble, with a server in memory that answers for all hosts.
func inBubble(t *testing.T, tell func(tr *transport.Transport, get func(url string) *http.Response, ask func(query, accept string) *httptest.ResponseRecorder)) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("all")
		require.NoError(t, err)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", "id=hunter2")
			if strings.HasPrefix(r.URL.Path, "/large") {
				_, _ = w.Write(make([]byte, 1<<20))
			}
			if r.URL.Path == "/kept" { // too large to be detached, and no larger than need be
				_, _ = w.Write(make([]byte, 20_000))
			}
		})}
		go func() { _ = server.Serve(l) }()
		tr := &transport.Transport{RecordStacks: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "nowhere") {
				return nil, fmt.Errorf("no route to %s", addr)
			}
			return n.DialContext(ctx, network, "all")
		}}
		h := &statuspage.Handler{Transport: tr}
		tell(tr, func(url string) *http.Response {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer hunter2")
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			return resp
		}, func(query, accept string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "/status?"+query, nil)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		})
		require.NoError(t, tr.Close())
		require.NoError(t, server.Close())
		synctest.Wait()
	})
}

// busy makes a Transport of which there is something to show.
func busy(t *testing.T, tr *transport.Transport, get func(string) *http.Response) (end func()) {
	for range 3 {
		require.NoError(t, get("http://a.example/small").Body.Close())
	}
	time.Sleep(10 * time.Second)
	first := get("http://user:hunter2@a.example/large?token=hunter2#hunter2")
	_, err := io.ReadFull(first.Body, make([]byte, 1000))
	require.NoError(t, err)
	time.Sleep(2 * time.Second)
	require.NoError(t, get("http://a.example/small").Body.Close())
	second := get("http://b.example/large")
	for range 5 {
		_, err := (&http.Client{Transport: tr}).Get("http://nowhere.example/?hunter2")
		require.Error(t, err)
	}
	time.Sleep(time.Second)
	return func() {
		require.NoError(t, first.Body.Close())
		require.NoError(t, second.Body.Close())
		time.Sleep(time.Second)
	}
}

var stackLine = regexp.MustCompile(`"[^" ]+\.(\w+)(\.func\d+)* [^" ]*/(\w+\.go):\d+"`)

// What is told as JSON, to the letter; but for where stacks lie.
func TestGoldenJSON(t *testing.T) {
	inBubble(t, func(tr *transport.Transport, get func(string) *http.Response, ask func(string, string) *httptest.ResponseRecorder) {
		require.Equal(t, http.StatusOK, ask("format=json", "").Code)
		end := busy(t, tr, get)
		w := ask("", "application/json")
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		got := stackLine.ReplaceAllString(w.Body.String(), `"$3"`)
		got = regexp.MustCompile(`(?s)("opened": \[\s*"[^"]*")[^\]]*\]`).ReplaceAllString(got, "$1]") // the program's own function alone
		golden := filepath.Join("testdata", "status.json")
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, string(want), got)
		end()
	})
}

// The page shows the same, and in no form anything that is nobody's business.
func TestPage(t *testing.T) {
	inBubble(t, func(tr *transport.Transport, get func(string) *http.Response, ask func(string, string) *httptest.ResponseRecorder) {
		end := busy(t, tr, get)
		for _, query := range []string{"", "format=json", "origin=http://a.example", "connections=99&bodies=-1&origins=x"} {
			for _, accept := range []string{"", "text/html,application/json", "application/json"} {
				w := ask(query, accept)
				require.Equal(t, http.StatusOK, w.Code)
				assert.NotContains(t, w.Body.String(), "hunter2")
				assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
				assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			}
		}
		html := ask("", "text/html").Body.String()
		for _, want := range []string{
			"http://a.example/large", "http://b.example", "5 of 5 dials failed", "statuspage_test.busy", "HTTP/1.1",
			`content="5"`, ">leased<", ">idle<",
		} {
			assert.Contains(t, html, want)
		}
		assert.NotContains(t, html, "<script")
		assert.NotContains(t, ask("refresh=0", "").Body.String(), `http-equiv="refresh"`)
		only := ask("origin=http://b.example", "").Body.String()
		assert.Contains(t, only, "Connections (1)")
		assert.True(t, strings.HasPrefix(ask("format=profile", "").Body.String(), "\x1f\x8b"))
		end()
	})
}

// The course is of the last ten minutes, as often as somebody asked and no more than once a second.
func TestSamples(t *testing.T) {
	inBubble(t, func(tr *transport.Transport, get func(string) *http.Response, ask func(string, string) *httptest.ResponseRecorder) {
		samples := func() (s []struct {
			Time     time.Time
			Requests int64
		}) {
			var all struct{ Samples json.RawMessage }
			require.NoError(t, json.Unmarshal(ask("format=json", "").Body.Bytes(), &all))
			require.NoError(t, json.Unmarshal(all.Samples, &s))
			return s
		}
		assert.NotContains(t, ask("", "").Body.String(), "<polyline")
		assert.Len(t, samples(), 1)
		assert.Len(t, samples(), 1)
		time.Sleep(time.Second)
		require.NoError(t, get("http://a.example/").Body.Close())
		assert.Len(t, samples(), 2)
		html := ask("", "").Body.String()
		assert.Contains(t, html, "<polyline")
		assert.Regexp(t, `requests/s <b>1\.0</b>`, html)
		time.Sleep(10 * time.Minute)
		left := samples()
		require.Len(t, left, 2)
		assert.EqualValues(t, 1, left[0].Requests)
		time.Sleep(time.Second)
		assert.Len(t, samples(), 2)
	})
}

// Very many connections are shown a hundred at a time.
func TestPages(t *testing.T) {
	inBubble(t, func(tr *transport.Transport, get func(string) *http.Response, ask func(string, string) *httptest.ResponseRecorder) {
		var open []*http.Response
		for i := range 250 {
			open = append(open, get(fmt.Sprintf("http://host%03d.example/large", i)))
		}
		html := ask("", "").Body.String()
		assert.Equal(t, 3, strings.Count(html, "page 1 of 3"))
		assert.Contains(t, html, "Connections (250)")
		assert.Contains(t, html, "host099")
		assert.NotContains(t, html, "host100")
		html = ask("connections=2", "").Body.String()
		assert.Contains(t, html, ">http://host100.example<")
		assert.Contains(t, html, "page 2 of 3")
		assert.Contains(t, html, `href="?connections=3#connections"`)
		assert.Contains(t, html, `href="?bodies=2&amp;connections=2#bodies"`, "back to where one was")
		for _, id := range []string{"origins", "bodies", "connections"} {
			assert.Contains(t, html, `id="`+id+`"`)
			assert.Contains(t, html, `href="#`+id+`"`)
		}
		for _, resp := range open {
			require.NoError(t, resp.Body.Close())
		}
	})
}

// A page is no larger with thousands of connections than with hundreds, and each of them is on one page.
func TestPagesOfThousands(t *testing.T) {
	const each, origins = 30, 100
	inBubble(t, func(_ *transport.Transport, get func(string) *http.Response, ask func(string, string) *httptest.ResponseRecorder) {
		var open []*http.Response
		sizes := map[int]int{}
		for n := range each * origins {
			open = append(open, get(fmt.Sprintf("http://host%03d.example/kept", n%origins)))
			if n+1 == 3*origins || n+1 == each*origins {
				for _, query := range []string{"", "format=json", "connections=2&bodies=3"} {
					sizes[n+1] += len(ask(query, "").Body.String())
				}
			}
		}
		assert.InEpsilon(t, sizes[3*origins], sizes[each*origins], 0.05)
		assert.Less(t, sizes[each*origins], 600_000)

		seen := map[string]int{}
		for i := range each {
			var page struct {
				Connections struct {
					Pages int
					Items []struct{ Origin string }
				}
			}
			require.NoError(t, json.Unmarshal(ask(fmt.Sprintf("format=json&connections=%d", i+1), "").Body.Bytes(), &page))
			assert.Equal(t, each, page.Connections.Pages)
			for _, c := range page.Connections.Items {
				seen[c.Origin]++
			}
		}
		assert.Len(t, seen, origins)
		for name, n := range seen {
			assert.Equal(t, each, n, name)
		}
		html := ask(fmt.Sprintf("connections=%d", each/2), "").Body.String()
		assert.Contains(t, html, fmt.Sprintf(`href="?connections=%d#connections">last<`, each))
		assert.Contains(t, html, `href="?connections=1#connections">first<`)
		only := ask("origin=http://host007.example", "").Body.String()
		assert.Contains(t, only, fmt.Sprintf("Connections (%d)", each))
		for _, resp := range open {
			require.NoError(t, resp.Body.Close())
		}
	})
}

// What is no GET is refused, and a Handler without a Transport says so.
func TestRefusals(t *testing.T) {
	for method, want := range map[string]int{http.MethodPost: 405, http.MethodDelete: 405, http.MethodGet: 500, http.MethodHead: 500} {
		w := httptest.NewRecorder()
		(&statuspage.Handler{}).ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		assert.Equal(t, want, w.Code, method)
	}
	w := httptest.NewRecorder()
	(&statuspage.Handler{Transport: &transport.Transport{}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Contains(t, w.Body.String(), "Connections (0)")
}

// A Handler that is dropped is collected.
func TestDroppedHandler(t *testing.T) {
	h := &statuspage.Handler{Transport: &transport.Transport{}}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	gone := weak.Make(h)
	runtime.KeepAlive(h)
	h = nil
	require.Eventually(t, func() bool { runtime.GC(); return gone.Value() == nil }, 10*time.Second, time.Millisecond)
}
