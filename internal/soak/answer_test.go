//go:build linux

package soak_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Evil is in all that a server sends without being asked.
const (
	evilField    = "Evil"
	evilResponse = "HTTP/1.1 200 OK\r\nEvil: 1\r\nContent-Length: 4\r\n\r\nevil"
	evilLines    = "evil\r\nevil\r\nevil\r\n" // each a line, so that a client that has a part of them sees what it is
	evilTimeout  = "HTTP/1.1 408 Request Timeout\r\nEvil: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// An answer is what an origin of HTTP/1.1 does with one request.
type answer struct {
	plan
	book *book
	req  *http.Request
	tcp  *net.TCPConn
	c    net.Conn // tcp, or TLS on it

	uploaded int
	head     strings.Builder
	body     []byte // as on the wire
	ends     bool   // the connection is over after it
}

// give answers, and reports whether the connection goes on.
func (a *answer) give() bool {
	a.uploaded = -1
	later := a.fault == early || a.fault == earlyClose
	if a.req.Header.Get("Expect") != "" && !later {
		switch a.id % 3 {
		case 0:
			_, _ = io.WriteString(a.c, "HTTP/1.1 100 Continue\r\n\r\n")
		case 1:
			later = true
		}
	}
	if !later {
		if a.uploaded = a.book.takeUpload(a.plan, a.req.Body); a.uploaded < 0 {
			return false
		}
	}
	a.compose()
	if !a.write() || a.ends {
		a.leave()
		return false
	}
	if later {
		return a.book.takeUpload(a.plan, a.req.Body) >= 0
	}
	return true
}

// compose makes the response.
func (a *answer) compose() {
	content := bytesOf(a.id, a.size)
	how := a.shape
	switch {
	case a.fault == tooLong, how == untilClose && (a.fault == cutBody || evil[a.fault]), how == zipped && !strings.Contains(a.req.Header.Get("Accept-Encoding"), "gzip"):
		how = sized
	case a.fault == garbageBody:
		how = chunked
	}
	for range a.infos {
		a.head.WriteString("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
	}
	fmt.Fprintf(&a.head, "HTTP/1.1 200 OK\r\nId: %d\r\nSum: %d\r\nUploaded: %d\r\n", a.id, sumOf(content), a.uploaded)
	a.body = content
	switch how {
	case zipped:
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(content)
		_ = z.Close()
		a.body = b.Bytes()
		fmt.Fprintf(&a.head, "Content-Encoding: gzip\r\nContent-Length: %d\r\n", len(a.body))
	case chunked, trailed:
		a.head.WriteString("Transfer-Encoding: chunked\r\n")
		tail := "0\r\n\r\n"
		if how == trailed {
			a.head.WriteString("Trailer: Tail\r\n")
			tail = fmt.Sprintf("0\r\nTail: %d\r\n\r\n", a.id)
		}
		a.body = a.chunks(content, tail)
	case untilClose:
		a.ends = true
	default:
		fmt.Fprintf(&a.head, "Content-Length: %d\r\n", len(content))
	}
	if a.fault == sayClose || a.fault == earlyClose || a.ends {
		a.ends = true
		a.head.WriteString("Connection: close\r\n")
	}
	if a.fault == hugeHead {
		a.head.WriteString("Huge: " + strings.Repeat("x", 300<<10) + "\r\n")
	}
	a.head.WriteString("\r\n")
	if a.req.Method == http.MethodHead {
		a.body = nil
	}
}

func (a *answer) chunks(content []byte, tail string) []byte {
	var b bytes.Buffer
	each := 1 + len(content)/a.pieces
	for rest := content; len(rest) > 0; {
		n := min(each, len(rest))
		fmt.Fprintf(&b, "%x;a=b\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
		if a.fault == garbageBody && len(content)-len(rest) > a.at {
			b.WriteString("evil\r\n")
			a.ends = true
		}
	}
	b.WriteString(tail)
	return b.Bytes()
}

// write writes the response, or what the fault leaves of it, and reports whether the connection is still good.
func (a *answer) write() bool {
	head := a.head.String()
	// Where in the body the fault is: at tells, of the content.
	at := share(len(a.body), a.at, max(a.size, 1))
	switch a.fault {
	case hangUp:
		return false
	case resetUp:
		return a.reset()
	case garbageHead:
		_, _ = io.WriteString(a.c, "\x00evil\x13\r\n\r\n")
		return false
	case cutHead, resetHead:
		_, _ = io.WriteString(a.c, head[:share(len(head), a.at+1, a.size+2)])
		return a.fault == resetHead && a.reset()
	case stall:
		return a.stall()
	case cutBody, resetBody, stallBody:
		if !a.send(head, a.body[:at]) {
			return false
		}
		switch {
		case a.fault == resetBody:
			return a.reset()
		case a.fault == stallBody && at < len(a.body):
			return a.stall()
		}
		return false
	case tooLong:
		a.ends = true
		a.body = append(a.body, evilLines...)
	case second:
		a.ends = true
		a.body = append(a.body, evilResponse...)
	}
	return a.send(head, a.body) && a.afterwards()
}

// share returns as much of n as at is of whole, where an int has 32 bits too.
func share(n, at, whole int) int { return int(int64(n) * int64(at) / int64(whole)) }

// send writes the response in so many pieces, the first one with the head or after it.
func (a *answer) send(head string, body []byte) bool {
	each := 1 + len(body)/a.pieces
	var b []byte
	b = append(b, head...)
	if a.gap%2 == 0 {
		n := min(each, len(body))
		b, body = append(b, body[:n]...), body[n:]
	}
	for {
		if _, err := a.c.Write(b); err != nil {
			return false
		}
		if len(body) == 0 {
			return true
		}
		time.Sleep(a.gap)
		n := min(each, len(body))
		b, body = body[:n], body[n:]
	}
}

// afterwards is what happens to the connection behind a response.
func (a *answer) afterwards() bool {
	switch a.fault {
	case late, timedOut:
		time.Sleep(a.gap)
		word := evilResponse
		if a.fault == timedOut {
			word = evilTimeout
		}
		_, _ = io.WriteString(a.c, word)
		return false
	case finAfter:
		time.Sleep(a.gap)
		return false
	case resetAfter:
		time.Sleep(a.gap)
		return a.reset()
	}
	return true
}

func (a *answer) reset() bool {
	_ = a.tcp.SetLinger(0)
	_ = a.tcp.Close()
	return false
}

func (a *answer) stall() bool {
	_, _ = io.Copy(io.Discard, a.c)
	return false
}

// lingering is how long a server reads what comes after its last word. Who closes with bytes unread resets the connection, and may
// destroy that word.
const lingering = 200 * time.Millisecond

// leave ends the server's direction and waits for the client's end.
func (a *answer) leave() {
	if cw, ok := a.c.(interface{ CloseWrite() error }); ok {
		_ = cw.CloseWrite()
	}
	if _, ok := a.c.(*net.TCPConn); !ok {
		_ = a.tcp.CloseWrite()
	}
	_ = a.c.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.Copy(io.Discard, a.c)
}
