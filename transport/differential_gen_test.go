package transport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// A trial is a request and what the server answers, made from one number.
type trial struct {
	seed    uint64
	script  script
	stalls  bool // the response does not end, and neither does the connection
	patient bool // nothing may depend on how busy the machine is
	extra   bool // bytes follow the response

	method, path string
	header       http.Header
	trailer      http.Header
	body         []byte
	pieces       int // the body's Read returns so many bytes at most; 0: the body is in memory
	known        bool
	close        bool
	readSize     int
}

func newTrial(seed uint64) *trial {
	t := &trial{seed: seed}
	r := rand.New(rand.NewPCG(seed, 1))
	t.makeRequest(r)
	t.makeResponse(r)
	return t
}

// pick returns one of several; the first half of the time, so that most trials are mostly ordinary.
func pick[T any](r *rand.Rand, of ...T) T {
	if r.IntN(2) == 0 {
		return of[0]
	}
	return of[r.IntN(len(of))]
}

// nearBorder returns a size at which a buffer of somebody ends, or one a little beside it; now and then for what has so many bytes ahead of
// it there.
func nearBorder(r *rand.Rand, ahead int) int {
	border := pick(r, 8<<10, 512, 2<<10, 4<<10, 16<<10, 32<<10, 64<<10)
	return border + r.IntN(65) - 32 - r.IntN(2)*min(ahead, border/2)
}

func (t *trial) makeRequest(r *rand.Rand) {
	t.method = pick(r, "GET", "", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD", "X-OWN")
	t.path = pick(r, "/", "", "/a b?c=d", "/%2f?", "//x", "/é")
	t.close = r.IntN(12) == 0
	t.header = http.Header{}
	for range r.IntN(4) {
		name := pick(r, "X-A", "User-Agent", "Accept-Encoding", "Range", "Connection", "Content-Type", "x-lower", "Content-Length", "Transfer-Encoding", "Trailer")
		t.header[name] = append(t.header[name], pick(r, "v", "", " v ", "a, b", "close", "gzip", "bytes=0-1", "5"))
	}
	if r.IntN(2) == 0 {
		t.readSize = pick(r, 1+r.IntN(5000), nearBorder(r, 0))
	}
	if r.IntN(12) == 0 {
		t.header.Set("X-Pad", strings.Repeat("p", nearBorder(r, 125)))
	}
	if r.IntN(3) > 0 {
		return
	}
	t.body = bytes.Repeat([]byte("0123456789abcdef"), r.IntN(pick(r, 4, 2000)))
	t.body = t.body[:len(t.body)-min(r.IntN(16), len(t.body))]
	if r.IntN(4) == 0 {
		t.body = bytes.Repeat([]byte("b"), nearBorder(r, 140)) // mostly behind that much of a head
	}
	t.known = r.IntN(2) == 0 || len(t.body) > 32700 // of those our chunks are not net/http's, which may be one for all
	if r.IntN(2) == 0 {
		t.pieces = 1 + r.IntN(4000)
	}
	if !t.known && r.IntN(2) == 0 {
		t.trailer = http.Header{"X-End": {"1"}, "Another": {"2", "3"}}
	}
	if len(t.body) > 0 && r.IntN(6) == 0 {
		t.header.Set("Expect", "100-continue")
	}
}

// request makes the request afresh: each transport gets its own.
func (t *trial) request(ctx context.Context, url string) (*http.Request, error) {
	var body io.Reader
	if t.body != nil {
		body = bytes.NewReader(t.body)
		if t.pieces > 0 {
			body = &piecewise{bytes.NewReader(t.body), t.pieces}
		}
	}
	req, err := http.NewRequestWithContext(ctx, t.method, url, body)
	if err != nil {
		return nil, err
	}
	req.Method = t.method
	req.URL.Path, req.URL.RawQuery, _ = strings.Cut(t.path, "?")
	req.Header = t.header.Clone()
	req.Close = t.close
	if t.body != nil {
		req.ContentLength = -1
		if t.known {
			req.ContentLength = int64(len(t.body))
		}
		req.Trailer = t.trailer.Clone()
	}
	return req, nil
}

// A piecewise reader returns few bytes at a time.
type piecewise struct {
	r io.Reader
	n int
}

func (p *piecewise) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

func (t *trial) makeResponse(r *rand.Rand) {
	var b bytes.Buffer
	for r.IntN(8) == 0 {
		b.WriteString(pick(r, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 199 \r\n\r\n"))
	}
	fmt.Fprintf(&b, "%s %s\r\n",
		pick(r, "HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/2.0", "http/1.1"),
		pick(r, "200 OK", "404 Not Found", "204 No Content", "304 Not Modified", "500", "301 ", "999 x", "20 OK", "2000 OK", "099 x", "206 "))
	for range r.IntN(4) {
		b.WriteString(pick(r, "A: b\r\n", "a-b-c: d\r\n", "A: c\r\n", "Set-Cookie: x=y\r\n", "B:\r\n", "C : d\r\n", "Folded: a\r\n  b\r\n",
			"nocolon\r\n", ": x\r\n", "D: e \t\r\n", "Bare: lf\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: x, Close\r\n",
			"Pragma: no-cache\r\n", "Location: /x\r\n", "Trailer: T, U\r\n", "Trailer: Content-Length\r\n", "E: \x00\r\n", "F\xff: g\r\n", "G: \xff\r\n"))
	}
	body := bytes.Repeat([]byte("response "), r.IntN(pick(r, 3, 1000, 5000)))
	if r.IntN(6) == 0 {
		body = bytes.Repeat([]byte("r"), nearBorder(r, b.Len()+len("Content-Length: 8000\r\n\r\n")))
	}
	if r.IntN(8) == 0 {
		fmt.Fprintf(&b, "Pad: %s\r\n", strings.Repeat("p", max(nearBorder(r, 0)-b.Len(), 0)))
	}
	framing := r.IntN(4)
	switch framing {
	case 0, 1:
		t.writeLength(&b, r, body)
	case 2:
		b.WriteString(pick(r, "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: Chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
			"Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: identity\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"))
		b.WriteString("\r\n")
		writeChunks(&b, r, body)
	case 3:
		b.WriteString("\r\n")
		b.Write(body)
	}
	t.spoil(r, b.Bytes(), framing == 3)
}

func (t *trial) writeLength(b *bytes.Buffer, r *rand.Rand, body []byte) {
	n := len(body)
	length := fmt.Sprint(n)
	switch r.IntN(16) {
	case 0:
		length = pick(r, "-1", "+1", "x", "", "1 1", "99999999999999999999", "0x5", "1,1")
	case 1:
		length = fmt.Sprint(n + 1 + r.IntN(5))
		t.stalls = r.IntN(4) == 0
	}
	fmt.Fprintf(b, "Content-Length: %s\r\n", length)
	switch r.IntN(12) {
	case 0:
		fmt.Fprintf(b, "Content-Length: %s\r\n", length)
	case 1:
		fmt.Fprintf(b, "content-length: %s\r\n", pick(r, "1", " "+length, "0"+length))
	}
	b.WriteString("\r\n")
	b.Write(body)
	if r.IntN(10) == 0 {
		t.extra = true
		b.WriteString(pick(r, "x", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "\r\n"))
	}
}

func writeChunks(b *bytes.Buffer, r *rand.Rand, body []byte) {
	for len(body) > 0 {
		n := min(pick(r, 1+r.IntN(len(body)), nearBorder(r, len("2000\r\n"))), len(body))
		fmt.Fprintf(b, pick(r, "%x", "%X", "0%x", "%x ")+"%s\r\n%s%s", n,
			pick(r, "", ";a=b", ";a=\"b;c\"", ";"), body[:n], pick(r, "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n"))
		body = body[n:]
	}
	b.WriteString("0\r\n")
	b.WriteString(pick(r, "", "T: 1\r\n", "T: 1\r\nU: 2\r\nV: 3\r\n", "Content-Length: 5\r\n", "bad\r\n", "T: 1\r\nt: 2\r\n"))
	b.WriteString("\r\n")
}

// spoil cuts the response short or changes a byte, and decides how it is written and what comes after it.
func (t *trial) spoil(r *rand.Rand, raw []byte, untilClose bool) {
	t.script.keep = !untilClose && r.IntN(2) == 0
	switch r.IntN(10) {
	case 0:
		raw = raw[:r.IntN(len(raw)+1)]
		t.script.keep = r.IntN(8) == 0
		t.stalls = t.script.keep
	case 1:
		raw[r.IntN(min(len(raw), 200))] = byte(r.IntN(256))
		t.script.keep, t.stalls = false, false
	}
	if t.stalls {
		t.script.keep = true
	}
	for len(raw) > 0 {
		n := len(raw)
		if r.IntN(2) == 0 {
			n = min(1+r.IntN(min(n, pick(r, n, 3, 1000, nearBorder(r, 0)))), n)
		}
		t.script.writes = append(t.script.writes, raw[:n])
		raw = raw[n:]
		if len(t.script.writes) > 20 && len(raw) > 0 {
			t.script.writes = append(t.script.writes, raw)
			break
		}
	}
}

// patience is how long a trial waits for what never comes, and how long for what must come.
func (t *trial) patience() time.Duration {
	if t.stalls && !t.patient {
		return 50 * time.Millisecond
	}
	return time.Second
}
