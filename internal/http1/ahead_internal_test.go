package http1

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bursts is a connection on which pieces arrive, the next when somebody asks who has had the last. A Read brings no more than one.
type bursts struct {
	net.Conn // nil: for what is not used
	pieces   []string
	here     string
	reads    int
}

func (c *bursts) Read(p []byte) (int, error) {
	c.reads++
	if c.here == "" {
		if len(c.pieces) == 0 {
			return 0, io.EOF
		}
		c.here, c.pieces = c.pieces[0], c.pieces[1:]
	}
	n := copy(p, c.here)
	c.here = c.here[n:]
	return n, nil
}

func (c *bursts) Write(p []byte) (int, error) { return len(p), nil }

func (c *bursts) SetDeadline(time.Time) error { return nil }

type anOwner struct{ opts Options }

func (o *anOwner) Options() *Options { return &o.opts }
func (*anOwner) Aborted()            {}
func (*anOwner) Arrived() bool       { return false }

// answered returns a Conn that has read the head of what arrives.
func answered(t testing.TB, nc net.Conn) *Conn {
	c := new(Conn)
	c.Init(nc, new(anOwner))
	x := c.Start()
	req, err := http.NewRequest(http.MethodGet, "http://a.example/", nil)
	require.NoError(t, err)
	x.Ctx, x.Request, x.Head.Target, x.Head.Host, x.Head.ContentLength = t.Context(), req, "/", "a.example", -1
	require.NoError(t, c.RoundTrip(new(http.Response), nil))
	return c
}

func (c *Conn) hasLarge() bool { return c.in.buf.pool == &aheadBuffers }

// readAll reads the body, so many bytes at a time, and looks between two Reads.
func readAll(c *Conn, size func() int, between func()) (string, error) {
	var body bytes.Buffer
	for {
		p := make([]byte, size())
		n, err := c.ReadBody(p)
		body.Write(p[:n])
		between()
		switch err {
		case nil:
		case io.EOF:
			return body.String(), nil
		default:
			return body.String(), err
		}
	}
}

// ways are those in which a response tells where it ends. Those that tell of themselves take nothing of what is behind.
var ways = map[string]func(body string, chunk func() int) string{
	"length": func(body string, _ func() int) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	},
	"chunked": func(body string, chunk func() int) string {
		var b strings.Builder
		b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for body != "" {
			n := min(chunk(), len(body))
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return b.String() + "0\r\nTrailer: yes\r\n\r\n"
	},
	"until close": func(body string, _ func() int) string { return "HTTP/1.1 200 OK\r\n\r\n" + body },
}

func letters(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + i%26)
	}
	return string(b)
}

func always(n int) func() int { return func() int { return n } }

// What has arrived is taken off the kernel in large pieces, however small those are that the caller asks for.
func TestReadAhead(t *testing.T) {
	const size = 1 << 20
	body := letters(size)
	for name, write := range ways {
		for _, at := range []int{1, 512, 4 << 10, 8 << 10, 32 << 10} {
			t.Run(fmt.Sprint(name, " ", at), func(t *testing.T) {
				nc := &bursts{pieces: []string{write(body, always(32<<10))}}
				c := answered(t, nc)
				got, err := readAll(c, always(at), func() {
					if c.in.empty() {
						assert.False(t, c.hasLarge())
					}
				})
				require.NoError(t, err)
				assert.True(t, body == got)
				assert.LessOrEqual(t, nc.reads, size/aheadSize+10)
				c.End()
			})
		}
	}
}

// A body that comes little by little needs no large buffer.
func TestReadAheadOfLittle(t *testing.T) {
	body := letters(1 << 20)
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			nc := new(bursts)
			for rest := write(body, always(1000)); rest != ""; {
				n := min(1000, len(rest))
				nc.pieces, rest = append(nc.pieces, rest[:n]), rest[n:]
			}
			c := answered(t, nc)
			got, err := readAll(c, always(4<<10), func() { assert.False(t, c.hasLarge()) })
			require.NoError(t, err)
			assert.True(t, body == got)
			c.End()
		})
	}
}

// A trailer section that comes little by little may be as large as the buffer that was asked for, not as the one that was there.
func TestReadAheadToTrailers(t *testing.T) {
	for size, fits := range map[int]bool{minBufferSize - 100: true, minBufferSize: false, 2 * minBufferSize: false} {
		head, _, _ := strings.Cut(ways["chunked"](letters(100<<10), always(32<<10)), "Trailer: yes")
		nc := &bursts{pieces: append([]string{head + "Sum: "}, strings.SplitAfter(strings.Repeat("x", size)+"\r\n\r\n", "")...)}
		c := answered(t, nc)
		_, err := readAll(c, always(4<<10), func() {})
		if fits {
			require.NoError(t, err)
			assert.Len(t, c.Trailer().Get("Sum"), size)
		} else {
			require.ErrorContains(t, err, "exceeds 8192 bytes")
		}
		c.End()
	}
}

// Whatever arrives when, and however much is asked for, the body is what was sent; what is behind it stays where it is; and no large
// buffer is lent for nothing.
func TestReadAheadAtRandom(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 0))
		some := func(most int) func() int { return func() int { return 1 + r.IntN(1+r.IntN(most)) } }
		for name, write := range ways {
			body := letters(r.IntN(300 << 10))
			rest, nc := write(body, some(40<<10)), new(bursts)
			if name == "length" {
				rest += "more"
			}
			for most := some(100 << 10); rest != ""; {
				n := min(most(), len(rest))
				nc.pieces, rest = append(nc.pieces, rest[:n]), rest[n:]
			}
			c := answered(t, nc)
			got, err := readAll(c, some(70<<10), func() {
				if c.in.empty() {
					require.False(t, c.hasLarge(), seed)
				}
			})
			require.NoError(t, err, "%s, seed %d", name, seed)
			require.True(t, body == got, "%s, seed %d", name, seed)
			if name == "length" && len(body) > minBufferSize {
				require.Equal(t, "more", nc.here+strings.Join(nc.pieces, ""), seed)
			}
			c.End()
		}
	}
}

// The end of a body, for which the buffer that is there has room, needs no large one.
func TestReadAheadToTheEnd(t *testing.T) {
	nc := &bursts{pieces: []string{ways["length"](letters(minBufferSize+4000), nil)}}
	c := answered(t, nc)
	_, err := readAll(c, always(1000), func() { assert.False(t, c.hasLarge()) })
	require.NoError(t, err)
	assert.LessOrEqual(t, nc.reads, 2)
	c.End()
}

// callersTLS is what a socket is over a caller's own TLS.
type callersTLS struct{ *bursts }

func (callersTLS) NetConn() net.Conn { return new(tls.Conn) }

// Of TLS no more than a record is had at once, also where it is a caller's own.
func TestNoReadAheadOfTLS(t *testing.T) {
	for name, write := range ways {
		t.Run(name, func(t *testing.T) {
			nc := callersTLS{&bursts{pieces: []string{write(letters(100<<10), always(32<<10))}}}
			c := answered(t, nc)
			_, err := readAll(c, always(4<<10), func() { assert.False(t, c.hasLarge()) })
			require.NoError(t, err)
			c.End()
		})
	}
}
