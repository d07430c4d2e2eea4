package transport_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A holder is a program's own structure around a body.
type holder struct {
	name string
	body io.ReadCloser
	next *holder
}

// lines is an iterator over a body's lines.
func lines(body io.ReadCloser) func(func(string) bool) {
	return func(yield func(string) bool) {
		defer body.Close()
		for scanner := bufio.NewScanner(body); scanner.Scan(); {
			if !yield(scanner.Text()) {
				return
			}
		}
	}
}

// rows answers with 2,000 lines, slowly enough for collections to come in between.
func rows(w http.ResponseWriter, _ *http.Request) {
	for i := range 2000 {
		fmt.Fprintf(w, `{"row": %d, "text": "some text that takes its place"}`+"\n", i)
		if i%200 == 0 {
			w.(http.Flusher).Flush()
			runtime.Gosched()
		}
	}
}

// The innocent read their bodies in all the ways that programs do, and close them or read them to the end.
var innocents = map[string]func(s *story, resp *http.Response) (got string){
	"read all": func(s *story, resp *http.Response) string { return s.read(resp) },
	"byte by byte": func(s *story, resp *http.Response) string {
		var got bytes.Buffer
		r := bufio.NewReaderSize(resp.Body, 16)
		for {
			c, err := r.ReadByte()
			if err != nil {
				assert.Equal(s, io.EOF, err)
				return got.String()
			}
			got.WriteByte(c)
		}
	},
	"not closed after the end": func(s *story, resp *http.Response) string {
		b, err := io.ReadAll(resp.Body)
		assert.NoError(s, err)
		return string(b)
	},
	"in a structure": func(s *story, resp *http.Response) string {
		h := &holder{name: "last", next: &holder{name: "first", body: resp.Body}}
		resp = nil
		time.Sleep(time.Millisecond) // while the collector runs
		b, err := io.ReadAll(h.next.body)
		assert.NoError(s, err)
		assert.NoError(s, h.next.body.Close())
		return string(b)
	},
	"in another goroutine": func(s *story, resp *http.Response) string {
		done := make(chan string)
		go func() { done <- s.read(resp) }()
		return <-done
	},
	"through a pipe": func(s *story, resp *http.Response) string {
		r, w := io.Pipe()
		go func() {
			_, err := io.Copy(w, resp.Body)
			_ = w.CloseWithError(err)
		}()
		b, err := io.ReadAll(r)
		assert.NoError(s, err)
		return string(b)
	},
	"tee": func(s *story, resp *http.Response) string {
		var got strings.Builder
		_, err := io.Copy(io.Discard, io.TeeReader(resp.Body, &got))
		assert.NoError(s, err)
		return got.String()
	},
	"iterator": func(s *story, resp *http.Response) string {
		var got strings.Builder
		for line := range lines(resp.Body) {
			got.WriteString(line + "\n")
		}
		return got.String()
	},
	"half, and later the rest": func(s *story, resp *http.Response) string {
		half := make([]byte, 30000)
		_, err := io.ReadFull(resp.Body, half)
		assert.NoError(s, err)
		time.Sleep(2 * time.Millisecond)
		return string(half) + s.read(resp)
	},
	"JSON": func(s *story, resp *http.Response) string {
		defer resp.Body.Close()
		var got strings.Builder
		for d := json.NewDecoder(resp.Body); d.More(); {
			var v json.RawMessage
			if !assert.NoError(s, d.Decode(&v)) {
				break
			}
			got.Write(append(v, '\n'))
		}
		return got.String()
	},
	"closed early": func(s *story, resp *http.Response) string {
		_, err := io.ReadFull(resp.Body, make([]byte, 100))
		assert.NoError(s, err)
		assert.NoError(s, resp.Body.Close())
		return ""
	},
	"one blocked Read": func(s *story, resp *http.Response) string {
		b := make([]byte, 1<<20)
		n, err := io.ReadFull(resp.Body, b)
		assert.Equal(s, io.ErrUnexpectedEOF, err)
		return string(b[:n])
	},
}

// Innocent programs are never reported and never harmed, however often the collector runs.
func TestNoFalseAlarms(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	defer collector.Wait()
	defer close(stop)
	want := httptest.NewRecorder()
	rows(want, nil)
	ours(t, rows, func(s *story) {
		leaks := s.leaks()
		clients := []*http.Client{{Transport: s.rt}, {Transport: s.rt, Timeout: time.Minute}, {Transport: s.throughProxy()}}
		for name, program := range innocents {
			for i, client := range clients {
				for range 3 {
					resp, err := client.Get(s.server.URL + "/" + url.PathEscape(name))
					require.NoError(s, err)
					if got := program(s, resp); got != "" {
						assert.Equal(s, want.Body.String(), got, "%s, client %d", name, i)
					}
					if client.Timeout > 0 {
						_ = resp.Body.Close() // or a goroutine of http.Client's own stays until its Timeout
					}
				}
			}
		}
		assert.Empty(s, leaks())
		s.eventually("nothing is held", func() bool { return s.ours.Stats().Bodies == 0 })
	})
}

// throughProxy sends through a reverse proxy over ours.
func (s *story) throughProxy() http.RoundTripper {
	target, err := url.Parse(s.server.URL)
	require.NoError(s, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     s.rt,
		FlushInterval: -1,
	})
	s.Cleanup(proxy.Close)
	front, err := url.Parse(proxy.URL)
	require.NoError(s, err)
	plain := &http.Transport{}
	s.Cleanup(plain.CloseIdleConnections)
	return rewrite{front, plain}
}

// rewrite sends requests to another host.
type rewrite struct {
	to *url.URL
	rt http.RoundTripper
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.Clone(req.Context())
	own.URL.Scheme, own.URL.Host = r.to.Scheme, r.to.Host
	return r.rt.RoundTrip(own)
}
