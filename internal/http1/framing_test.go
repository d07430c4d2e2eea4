package http1_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

func TestResponseFraming(t *testing.T) {
	const keep, end = true, false
	for _, tt := range []struct {
		name, method, in string // in: the status line from the minor version on, and the fields
		framing          http1.Framing
		keepAlive        bool
	}{
		{"length", "GET", "1 200\nContent-Length: 5", http1.Length, keep},
		{"no length", "GET", "1 200", http1.UntilClose, end},
		{"length 0", "GET", "1 200\nContent-Length: 0", http1.NoBody, keep},
		{"leading zeros", "GET", "1 200\nContent-Length: 005", http1.Length, keep},
		{"the greatest length", "GET", "1 200\nContent-Length: 9223372036854775807", http1.Length, keep},
		{"equal lengths", "GET", "1 200\nContent-Length: 5\nContent-Length: 5 ", http1.Length, keep},
		{"chunks", "GET", "1 200\nTransfer-Encoding: CHUNKed", http1.Chunked, keep},
		{"trailer", "GET", "1 200\nTransfer-Encoding: chunked\nTrailer: a,,B-c , \nTrailer: d", http1.Chunked, keep},
		{"trailer of nothing", "GET", "1 200\nTransfer-Encoding: chunked\nTrailer: ,", http1.Chunked, keep},
		{"trailer without chunks", "GET", "1 200\nContent-Length: 5\nTrailer: a", http1.Length, keep},

		{"HEAD", "HEAD", "1 200\nContent-Length: 5", http1.NoBody, keep},
		{"HEAD with chunks", "HEAD", "1 200\nTransfer-Encoding: chunked\nTrailer: a", http1.NoBody, keep},
		{"HEAD with neither", "HEAD", "1 200", http1.NoBody, keep},
		{"103", "GET", "1 103\nLink: x", http1.NoBody, keep},
		{"101", "GET", "1 101\nConnection: upgrade\nUpgrade: x", http1.NoBody, end},
		{"204", "GET", "1 204", http1.NoBody, keep},
		{"204 with length 0", "GET", "1 204\nContent-Length: 0", http1.NoBody, keep},
		{"204 that announces a body", "GET", "1 204\nContent-Length: 5", http1.NoBody, end},
		{"204 that announces chunks", "GET", "1 204\nTransfer-Encoding: chunked", http1.NoBody, end},
		{"304 with the length of its 200", "GET", "1 304\nContent-Length: 5", http1.NoBody, keep},
		{"304 with chunks", "GET", "1 304\nTransfer-Encoding: chunked", http1.NoBody, keep},
		{"205 is framed like a 200", "GET", "1 205", http1.UntilClose, end},
		{"205 with length 0", "GET", "1 205\nContent-Length: 0", http1.NoBody, keep},

		{"close", "GET", "1 200\nContent-Length: 5\nConnection: close", http1.Length, end},
		{"close in a list", "GET", "1 200\nContent-Length: 5\nConnection: x ,\tCLOSE", http1.Length, end},
		{"close in a second field", "GET", "1 200\nContent-Length: 5\nConnection: x\nConnection: close", http1.Length, end},
		{"not quite close", "GET", "1 200\nContent-Length: 5\nConnection: closed, x close", http1.Length, keep},
		{"HTTP/1.0", "GET", "0 200\nContent-Length: 5", http1.Length, end},
		{"HTTP/1.0 without a length", "GET", "0 200\nConnection: keep-alive", http1.UntilClose, end},
		{"HTTP/1.0 with keep-alive", "GET", "0 200\nContent-Length: 5\nConnection: x, Keep-Alive", http1.Length, keep},
		{"HTTP/1.0 with keep-alive and close", "GET", "0 200\nContent-Length: 5\nConnection: keep-alive, close", http1.Length, end},
		{"HTTP/1.5", "GET", "5 200\nTransfer-Encoding: chunked", http1.Chunked, keep},

		{"chunks and a length", "GET", "1 200\nTransfer-Encoding: chunked\nContent-Length: 5", http1.Chunked, end},
		{"HEAD with chunks and a length", "HEAD", "1 200\nTransfer-Encoding: chunked\nContent-Length: 5", http1.NoBody, end},
		{"HTTP/1.0 with chunks", "GET", "0 200\nConnection: keep-alive\nTransfer-Encoding: chunked", http1.UntilClose, end},
		{"HTTP/1.0 with chunks and a length", "GET", "0 200\nConnection: keep-alive\nTransfer-Encoding: gzip\nContent-Length: 5", http1.Length, end},
		{"HEAD of HTTP/1.0 with chunks", "HEAD", "0 200\nConnection: keep-alive\nTransfer-Encoding: chunked", http1.NoBody, end},
		{"refused CONNECT", "CONNECT", "1 407\nContent-Length: 5", http1.Length, keep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := "HTTP/1." + tt.in + "\n\n"
			resp, err := parseHead(head, nil)
			require.NoError(t, err)
			framing, keepAlive, err := http1.ResponseFraming(tt.method, resp)
			require.NoError(t, err)
			assert.Equal(t, tt.framing, framing)
			assert.Equal(t, tt.keepAlive, keepAlive)
			likeReadResponse(t, head, tt.method)
		})
	}
}

func TestResponseFramingRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, text string }{
		{"different lengths", "Content-Length: 5\nContent-Length: 6", "differ"},
		{"different spellings of a length", "Content-Length: 5\nContent-Length: 05", "differ"},
		{"list of lengths", "Content-Length: 5, 5", "Content-Length"},
		{"empty", "Content-Length:", "Content-Length"},
		{"plus", "Content-Length: +5", "Content-Length"},
		{"minus", "Content-Length: -5", "Content-Length"},
		{"space inside", "Content-Length: 1 5", "Content-Length"},
		{"hexadecimal", "Content-Length: 0x5", "Content-Length"},
		{"underscore", "Content-Length: 1_5", "Content-Length"},
		{"overflow", "Content-Length: 9223372036854775808", "Content-Length"},
		{"gzip", "Transfer-Encoding: gzip", "Transfer-Encoding other than chunked"},
		{"gzip and chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding other than chunked"},
		{"identity", "Transfer-Encoding: identity", "Transfer-Encoding other than chunked"},
		{"chunked with a Kelvin sign", "Transfer-Encoding: chun\u212aed", "Transfer-Encoding other than chunked"},
		{"chunked twice", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", "2 Transfer-Encoding fields"},
		{"announced framing", "Transfer-Encoding: chunked\nTrailer: a, content-LENGTH", "Trailer announces Content-Length"},
	} {
		for _, status := range []string{"200", "204"} {
			t.Run(tt.name+"/"+status, func(t *testing.T) {
				head := "HTTP/1.1 " + status + "\n" + tt.in + "\n\n"
				resp, err := parseHead(head, nil)
				require.NoError(t, err)
				_, keepAlive, err := http1.ResponseFraming(http.MethodGet, resp)
				var m *http1.MalformedError
				require.ErrorAs(t, err, &m)
				assert.ErrorContains(t, err, "framing: ")
				assert.ErrorContains(t, err, tt.text)
				assert.False(t, keepAlive)
				likeReadResponse(t, head, http.MethodGet)
			})
		}
	}
}

// A 2xx answer to CONNECT has no body: what follows is the tunnel, whatever lengths it names, even wrong ones.
func TestConnectBeginsATunnel(t *testing.T) {
	for _, fields := range []string{"", "Content-Length: 5\n", "Content-Length: x\n", "Transfer-Encoding: chunked\n", "Transfer-Encoding: x\nTrailer: a\n"} {
		resp, err := parseHead("HTTP/1.1 200 OK\n"+fields+"\n", nil)
		require.NoError(t, err)
		framing, keepAlive, err := http1.ResponseFraming(http.MethodConnect, resp)
		require.NoError(t, err)
		assert.Equal(t, http1.UntilClose, framing)
		assert.False(t, keepAlive)
		assert.EqualValues(t, -1, resp.ContentLength)
		assert.Empty(t, resp.TransferEncoding)
	}
}

// A caller may write to what a response holds.
func TestTransferEncodingIsTheCallers(t *testing.T) {
	for range 2 {
		resp, err := parseHead("HTTP/1.1 200\nTransfer-Encoding: chunked\n\n", nil)
		require.NoError(t, err)
		_, _, err = http1.ResponseFraming(http.MethodGet, resp)
		require.NoError(t, err)
		require.Equal(t, []string{"chunked"}, resp.TransferEncoding)
		resp.TransferEncoding[0] = "mine"
	}
}

// FuzzFraming puts the fields that frame bodies together, and compares with http.ReadResponse.
func FuzzFraming(f *testing.F) {
	f.Add(uint8(0), uint8(1), uint16(200), "5", "5", "chunked", "close", "a")
	f.Add(uint8(1), uint8(0), uint16(204), "", "x", "gzip, chunked", "Keep-Alive, x", "Trailer")
	f.Add(uint8(2), uint8(1), uint16(304), "05", "5", "chun\u212aed", "x", ",")
	f.Fuzz(func(t *testing.T, method, minor uint8, status uint16, length, again, coding, connection, trailer string) {
		head := fmt.Sprintf("HTTP/1.%d %03d X\r\n", minor%10, status%1000)
		for _, field := range [][2]string{
			{"Content-Length", length}, {"Content-Length", again}, {"Transfer-Encoding", coding}, {"Connection", connection}, {"Trailer", trailer},
		} {
			if field[1] != "" {
				head += field[0] + ": " + field[1] + "\r\n"
			}
		}
		head += "\r\n"
		if n := http1.HeadEnd([]byte(head), 0); n >= 0 {
			likeReadResponse(t, head[:n], []string{"GET", "HEAD", "POST", "CONNECT"}[method%4])
		}
	})
}
