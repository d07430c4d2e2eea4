package transport

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A cutConn says what it was given, in pieces of so many bytes, and takes whatever is written.
type cutConn struct {
	net.Conn
	says    string
	piece   int
	endless bool // says it over and over
	told    int  // bytes that were read
}

func (c *cutConn) Read(p []byte) (n int, err error) {
	at := c.told
	if c.endless {
		at %= len(c.says)
	}
	if n = copy(p[:min(len(p), c.piece)], c.says[at:]); n == 0 {
		return 0, io.EOF
	}
	c.told += n
	return n, nil
}

func (c *cutConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *cutConn) SetDeadline(time.Time) error      { return nil }
func (c *cutConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cutConn) SetWriteDeadline(time.Time) error { return nil }
func (c *cutConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 3128} }

const (
	tunnelSecret = "s3cret"
	tunnelLimit  = 2000 // bytes of an answer's heads
)

// openTunnel asks a proxy at the other end of nc for a tunnel.
func openTunnel(nc net.Conn) error {
	c := &core{settings: &Transport{MaxResponseHeaderBytes: tunnelLimit, OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
		_, _ = io.Copy(io.Discard, resp.Body) // of a refusal
		return nil
	}}}
	proxy := &url.URL{Scheme: "http", Host: "proxy.example:3128", User: url.UserPassword(tunnelSecret, tunnelSecret)}
	return c.connect(context.Background(), nc, proxy, route{scheme: "https", host: "origin.example", proxy: proxy.String()})
}

// tunnelBegins finds by another parser than ours where a tunnel begins in what a proxy says: behind the first head that is not
// informational, if that is a 200; -1 if there is none.
func tunnelBegins(says string) int {
	br := bufio.NewReaderSize(strings.NewReader(says), len(says)+16)
	for r := textproto.NewReader(br); ; {
		line, err := r.ReadLine()
		if err != nil {
			return -1
		}
		if _, err := r.ReadMIMEHeader(); err != nil {
			return -1
		}
		_, status, _ := strings.Cut(line, " ")
		switch code, _, _ := strings.Cut(strings.TrimLeft(status, " "), " "); {
		case code == "200":
			return len(says) - br.Buffered()
		case !strings.HasPrefix(code, "1") || code == "101":
			return -1
		}
	}
}

// FuzzTunnelAnswer has a proxy answer CONNECT with anything, in any pieces. There is a tunnel if and only if the answer is a 200 that another
// parser sees as well, and it begins exactly behind that: no byte of it is lost, none is taken for a part of the head, and what came with
// the head is refused. Everything else is an error that says nothing of what fields hold, and no more is read than the limit of a head.
func FuzzTunnelAnswer(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, says := range []string{
		ok + "\r\n", ok + "\r\n\x16\x03\x03", "HTTP/1.0 200 Connection established\n\n", "HTTP/1.1 200\r\n\r\n\r\n", ok + "Content-Length: 5\r\n\r\nhello", ok + "Content-Length: x\r\nTransfer-Encoding: x\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\n" + ok + "\r\n", "HTTP/1.1 102 X\r\n\r\n", "HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\nContent-Length: 6\r\n\r\nplease", "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: -1\r\n\r\n",
		ok + "A : b\r\n\r\n", ok + "A: b\rc\r\n\r\n", "HTTP/1.1 +200 OK\r\n\r\n", "SSH-2.0-x\r\n", "\r\n" + ok + "\r\n", ok + "A: b\r\n", "",
	} {
		f.Add(says, 5, says != "")
	}
	f.Fuzz(func(t *testing.T, says string, piece int, endless bool) {
		if len(says) > tunnelLimit || piece < 1 {
			return
		}
		if first, rest, ok := strings.Cut(says, "\n"); ok { // what a field holds
			says = first + "\nSet-Cookie: " + tunnelSecret + "\r\n" + rest
		}
		begins := tunnelBegins(says)
		byByte := answered(t, &cutConn{says: says, piece: 1}, begins)
		whole := answered(t, &cutConn{says: says, piece: len(says) + 1}, begins)
		if byByte == nil && begins < len(says) {
			assert.ErrorContains(t, whole, "sent bytes after its answer")
		} else {
			assert.Equal(t, byByte, whole)
		}
		_ = answered(t, &cutConn{says: says, piece: piece}, begins)
		if endless && says != "" {
			again := strings.Repeat(says, tunnelLimit/len(says)+2)
			_ = answered(t, &cutConn{says: says, piece: piece, endless: true}, tunnelBegins(again))
		}
	})
}

// answered opens a tunnel, and holds it, or the error, to what is said above.
func answered(t *testing.T, nc *cutConn, begins int) error {
	t.Helper()
	err := openTunnel(nc)
	assert.LessOrEqual(t, nc.told, tunnelLimit, "bytes read")
	if err == nil {
		require.Equal(t, begins, nc.told, "where the tunnel begins in %q", nc.says)
		return nil
	}
	assert.NotContains(t, err.Error(), tunnelSecret)
	return err
}
