package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A rawOrigin answers each request with the same bytes. It closes the connection afterwards if it is told to.
type rawOrigin struct {
	raw    string
	hangup bool
	served sync.WaitGroup
	dials  int // only one request is made at a time
}

func (o *rawOrigin) dial(context.Context, string, string) (net.Conn, error) {
	o.dials++
	client, server := net.Pipe()
	o.served.Go(func() {
		defer server.Close()
		r := bufio.NewReader(server)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			if _, err := io.WriteString(server, o.raw); err != nil || o.hangup {
				return
			}
		}
	})
	return client, nil
}

// A reading is all that a caller sees of two responses in a row.
type seenResponse struct {
	Err          string
	Status       string
	Code         int
	Proto        string
	Major, Minor int
	Header       http.Header
	Length       int64
	Codings      []string
	Close        bool
	Uncompressed bool
	Body         string
	BodyErr      string
	Trailer      http.Header
	Dials        int
}

func (o *rawOrigin) see(t *testing.T, method string, std bool) (seen seenResponse) {
	base := &http.Transport{DialContext: o.dial}
	var rt roundTripper = base
	if !std {
		own := transport.From(base)
		defer own.Close()
		rt = own
	}
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://example.com/", nil)
		require.NoError(t, err)
		resp, err := rt.RoundTrip(req)
		if err != nil {
			seen = seenResponse{Err: class(err)}
			continue
		}
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, resp.Body.Close())
		seen = seenResponse{
			Status: resp.Status, Code: resp.StatusCode, Proto: resp.Proto, Major: resp.ProtoMajor, Minor: resp.ProtoMinor,
			Header: resp.Header, Length: resp.ContentLength, Codings: resp.TransferEncoding, Close: resp.Close,
			Uncompressed: resp.Uncompressed, Body: string(b), BodyErr: class(err), Trailer: resp.Trailer,
		}
	}
	rt.CloseIdleConnections()
	o.served.Wait()
	seen.Dials = o.dials
	return seen
}

// A response looks to its caller as it does with net/http: status, protocol, fields, lengths, body, errors, trailers, and whether the
// connection is used again. The rows that differ say how.
func TestResponsesLikeStd(t *testing.T) {
	const ok, body = "HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n\r\nhello"
	rows := map[string]string{
		"plain":                    ok + body,
		"no reason":                "HTTP/1.1 200 \r\n" + body,
		"no reason, no space":      "HTTP/1.1 200\r\n" + body,
		"long reason":              "HTTP/1.1 404 Not Found At All\r\n" + body,
		"odd status":               "HTTP/1.1 999 Odd\r\n" + body,
		"no fields":                ok + "\r\nhello",
		"HTTP/1.0":                 "HTTP/1.0 200 OK\r\n" + body,
		"HTTP/1.0 keep-alive":      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + body,
		"HTTP/1.0 no length":       "HTTP/1.0 200 OK\r\n\r\nhello",
		"HTTP/1.0 chunked":         "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"Connection: close":        ok + "Connection: close\r\n" + body,
		"Connection: CLOSE, x":     ok + "Connection: CLOSE, x\r\n" + body,
		"two Connections":          ok + "Connection: x\r\nConnection: close\r\n" + body,
		"Connection: keep-alive":   ok + "Connection: keep-alive\r\n" + body,
		"until close":              ok + "\r\nhello",
		"chunked":                  ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunked, upper case":      ok + "TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"chunk extensions":         ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
		"chunk size, zeros":        ok + "Transfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n00\r\n\r\n",
		"chunk size, white space":  ok + "Transfer-Encoding: chunked\r\n\r\n5 \t\r\nhello\r\n0\r\n\r\n",
		"several chunks":           ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
		"trailer":                  ok + "Transfer-Encoding: chunked\r\nTrailer: A, B\r\n\r\n5\r\nhello\r\n0\r\nA: 1\r\n\r\n",
		"undeclared trailer":       ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nC: 3\r\n\r\n",
		"two Transfer-Encodings":   ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"unknown coding":           ok + "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"identity":                 ok + "Transfer-Encoding: identity\r\n" + body,
		"equal lengths":            ok + "Content-Length: 5\r\n" + body,
		"lengths in one field":     ok + "Content-Length: 5, 5\r\n\r\nhello",
		"other lengths":            ok + "Content-Length: 6\r\n" + body,
		"length, white space":      ok + "Content-Length:   5  \r\n\r\nhello",
		"length, plus":             ok + "Content-Length: +5\r\n\r\nhello",
		"length, not a number":     ok + "Content-Length: five\r\n\r\nhello",
		"length 0":                 ok + "Content-Length: 0\r\n\r\n",
		"length too long":          ok + "Content-Length: 9\r\n\r\nhello",
		"204":                      "HTTP/1.1 204 No Content\r\n\r\n",
		"204 with a length":        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
		"304":                      "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
		"304 with a length":        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"304 chunked":              "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
		"205":                      "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
		"100 before":               "HTTP/1.1 100 Continue\r\n\r\n" + ok + body,
		"102 and 103 before":       "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + body,
		"white space around value": ok + "A:  \t b c \t\r\n" + body,
		"empty value":              ok + "A:\r\n" + body,
		"repeated field":           ok + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" + body,
		"lower case names":         ok + "x-lower-case: 1\r\nCONTENT-TYPE: x\r\n" + body,
		"odd names":                ok + "x_y: 1\r\nx.y!: 2\r\n" + body,
		"folded field":             ok + "A: b\r\n c\r\n" + body,
		"bare LF":                  "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
		"space before the colon":   ok + "A : b\r\n" + body,
		"no colon":                 ok + "A\r\n" + body,
		"empty name":               ok + ": b\r\n" + body,
		"bytes beyond ASCII":       ok + "A: \xe4\xff\r\n" + body,
		"NUL in a value":           ok + "A: \x00\r\n" + body,
		"HTTP/1.2":                 "HTTP/1.2 200 OK\r\n" + body,
		"HTTP/2.0":                 "HTTP/2.0 200 OK\r\n" + body,
		"lower case http":          "http/1.1 200 OK\r\n" + body,
		"two digits":               "HTTP/1.1 20 OK\r\n" + body,
		"four digits":              "HTTP/1.1 2000 OK\r\n" + body,
		"empty line first":         "\r\n" + ok + body,
		"gzip not asked for":       ok + "Content-Encoding: gzip\r\n" + body,
		"nothing":                  "",
		"half a line":              "HTTP/1.1 2",
		"half a field":             ok + "Content-Le",
	}
	// What README's "Differences" names: cut responses are cut, not malformed, and some that net/http lets pass are refused.
	differs := map[string]string{
		"half a line": "unexpected EOF", "half a field": "unexpected EOF",
		"HTTP/2.0": "malformed", "space before the colon": "malformed",
	}
	for name, raw := range rows {
		for _, method := range []string{"GET", "HEAD"} {
			if method == "HEAD" && (strings.HasSuffix(raw, "hello") || strings.Contains(raw, "\r\n0")) {
				end := "\r\n\r\n"
				if !strings.Contains(raw, end) {
					end = "\n\n"
				}
				raw, _, _ = strings.Cut(raw, end)
				raw += end
			}
			for _, hangup := range []bool{false, true} {
				if !hangup && endsOnlyWithConn(raw, method) {
					continue // there would be no end to wait for
				}
				t.Run(fmt.Sprintf("%s %s hangup %v", name, method, hangup), func(t *testing.T) {
					got := (&rawOrigin{raw: raw, hangup: hangup}).see(t, method, false)
					want := (&rawOrigin{raw: raw, hangup: hangup}).see(t, method, true)
					for try := 0; try < 3 && want.Dials > got.Dials; try++ { // net/http's connection may come back too late
						want = (&rawOrigin{raw: raw, hangup: hangup}).see(t, method, true)
					}
					if how, ok := differs[name]; ok {
						assert.Equal(t, how, got.Err)
						return
					}
					if want.Dials == 1 && (name == "folded field" || name == "bare LF") {
						want.Dials = 2 // others may see another end
					}
					assert.Equal(t, want, got)
				})
			}
		}
	}
}

// endsOnlyWithConn reports whether a response ends with its connection only, or is not complete.
func endsOnlyWithConn(raw, method string) bool {
	head, rest, whole := strings.Cut(strings.ReplaceAll(raw, "\r\n", "\n"), "\n\n")
	for whole && (strings.HasPrefix(head, "HTTP/1.1 10")) {
		head, rest, whole = strings.Cut(rest, "\n\n")
	}
	if !whole || raw == "" {
		return true
	}
	head = strings.ToLower(head)
	if method == "HEAD" || strings.Contains(head, " 204 ") || strings.Contains(head, " 304 ") {
		return false
	}
	if strings.Contains(head, "content-length: 9") {
		return true
	}
	return !strings.Contains(head, "content-length") && !strings.Contains(head, "chunked") || strings.Contains(head, "http/1.0") && strings.Contains(head, "chunked")
}
