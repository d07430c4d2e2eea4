//go:build linux

package soak_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An origin2 is an origin of HTTP/2.
type origin2 struct {
	*origin
	server http.Server
	l      net.Listener
	done   sync.WaitGroup // with handlers
}

type connKey struct{}

func startOrigin2(t *testing.T, name string, config *tls.Config, steady bool, b *book) *origin2 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	o := &origin2{origin: &origin{name: name, steady: steady, book: b, port: uint16(port)}, l: l}
	o.url = fmt.Sprintf("https://127.0.0.1:%d/", port)
	o.server = http.Server{
		Handler:   o,
		TLSConfig: config.Clone(),
		ErrorLog:  log.New(io.Discard, "", 0),
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 32},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c.(*tls.Conn).NetConn())
		},
	}
	o.done.Go(func() { _ = o.server.ServeTLS(l, "", "") })
	return o
}

func (o *origin2) close() {
	_ = o.server.Close()
	o.done.Wait()
}

// reset ends the connection of a request, for all that are on it, where the origin is not steady, else the request's stream.
func (o *origin2) reset(r *http.Request) {
	if !o.steady {
		c := r.Context().Value(connKey{}).(*net.TCPConn)
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	panic(http.ErrAbortHandler)
}

func (o *origin2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := planOf(r.Header)
	if err != nil {
		o.book.fault("a request without its plan: %v", err)
		return
	}
	o.book.note(p, r)
	uploaded := -1
	if p.fault != early && p.fault != earlyClose {
		if uploaded = o.book.takeUpload(p, r.Body); uploaded < 0 {
			panic(http.ErrAbortHandler)
		}
	}
	for range p.infos {
		w.WriteHeader(http.StatusEarlyHints)
	}
	switch p.fault {
	case hangUp, cutHead, garbageHead:
		panic(http.ErrAbortHandler)
	case resetUp, resetHead:
		o.reset(r)
	case stall:
		<-r.Context().Done()
		return
	case hugeHead:
		if !o.steady { // the codec ends the connection for it
			w.Header().Set("Huge", strings.Repeat("x", 300<<10))
		}
	case sayClose, earlyClose:
		if !o.steady { // a GOAWAY, and a second later the end, however far its client has come to read on a busy machine
			w.Header().Set("Connection", "close")
		}
	}
	o.respond(w, r, p, uploaded)
}

func (o *origin2) respond(w http.ResponseWriter, r *http.Request, p plan, uploaded int) {
	content := bytesOf(p.id, p.size)
	h := w.Header()
	h.Set("Id", strconv.FormatUint(p.id, 10))
	h.Set("Sum", strconv.FormatUint(uint64(sumOf(content)), 10))
	h.Set("Uploaded", strconv.Itoa(uploaded))
	out := io.Writer(w)
	switch {
	case p.shape == zipped && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"):
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		out = z
	case p.shape == sized:
		h.Set("Content-Length", strconv.Itoa(p.size))
	case p.shape == trailed:
		h.Set("Trailer", "Tail")
		defer h.Set("Tail", strconv.FormatUint(p.id, 10))
	}
	each := 1 + len(content)/p.pieces
	for sent := 0; sent < len(content); {
		n := min(each, len(content)-sent)
		if sent+n > p.at {
			switch p.fault {
			case cutBody, garbageBody, tooLong:
				_, _ = out.Write(content[sent:p.at])
				panic(http.ErrAbortHandler)
			case resetBody:
				o.reset(r)
			case stallBody:
				<-r.Context().Done()
				return
			}
		}
		if _, err := out.Write(content[sent : sent+n]); err != nil {
			return
		}
		if sent += n; sent < len(content) {
			w.(http.Flusher).Flush()
			time.Sleep(p.gap)
		}
	}
	if p.fault == resetAfter && !o.steady {
		o.reset(r)
	}
}

// startProxy starts a proxy that gives tunnels. One that is not steady refuses some, and ends some.
func startProxy(t *testing.T, steady bool) *listening {
	return listen(t, func(c *net.TCPConn) {
		req, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		life := time.Duration(0)
		if !steady {
			switch rand.IntN(30) {
			case 0:
				return
			case 1:
				_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nevil")
				return
			case 2:
				_, _ = io.WriteString(c, "HTTP/1.1 2")
				return
			case 3:
				_ = c.SetLinger(0)
				return
			case 4, 5, 6:
				life = time.Duration(1+rand.IntN(50)) * time.Millisecond
			}
		}
		target, err := net.Dial("tcp", req.Host)
		if err != nil {
			return
		}
		defer target.Close()
		if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		tunnel(c, target.(*net.TCPConn), life)
	})
}

// tunnel copies both ways until both sides have ended, or life is over.
func tunnel(a, b *net.TCPConn, life time.Duration) {
	if life > 0 {
		timer := time.AfterFunc(life, func() {
			_ = a.SetLinger(0)
			_ = a.Close()
			_ = b.Close()
		})
		defer timer.Stop()
	}
	var both sync.WaitGroup
	pass := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			_ = to.SetLinger(0) // a reset is passed on
			_ = to.Close()
			_ = from.Close()
			return
		}
		_ = to.CloseWrite()
	}
	both.Go(func() { pass(a, b) })
	both.Go(func() { pass(b, a) })
	both.Wait()
}
