package http1_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// A head is lax if two recipients may see different fields in it.
func TestLaxHeads(t *testing.T) {
	for head, lax := range map[string]bool{
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\n":              false,
		"HTTP/1.1 200 OK\r\nA:\r\nB: \t \r\n\r\n":      false,
		"HTTP/1.1 200 OK\r\n\r\n":                      false,
		"HTTP/1.1 200 OK\nA: b\r\n\r\n":                true,
		"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n":        true,
		"HTTP/1.1 200 OK\r\nA: b\r\n\n":                true,
		"HTTP/1.1 200 OK\r\n\n":                        true,
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n":        true,
		"HTTP/1.1 200 OK\r\nA: b\r\n \r\nC: d\r\n\r\n": true,
		"HTTP/1.1 200 OK\r\nA b: c\r\nC: d\r\n\r\n":    true,
	} {
		got, err := http1.ParseHead([]byte(head), new(http.Response), nil)
		require.NoError(t, err, "%q", head)
		assert.Equal(t, lax, got, "%q", head)
	}
}

// ReadHead stops at the head's end, and returns what was read beyond.
func TestReadHead(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"
	long := "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 10000) + "\r\n\r\n"
	for _, tt := range []struct {
		in, head, rest string
		before         int64 // of 20000
		says           string
	}{
		{head, head, "", 0, ""},
		{head + "more", head, "more", 100, ""},
		{long, long, "", 0, ""},
		{head, head, "", 20000 - int64(len(head)), ""},
		{head, "", "", 20001 - int64(len(head)), "exceeds 20000 bytes (MaxResponseHeaderBytes)"},
		{"", "", "", 100, "EOF"},
		{"HTTP/1.1 200 OK\r\nA", "", "", 100, "unexpected EOF"},
		{"SSH-2.0\r\n", "", "", 100, "status line"},
	} {
		for _, pieces := range []bool{false, true} {
			r := io.Reader(strings.NewReader(tt.in))
			if pieces {
				r = iotest.OneByteReader(r)
				tt.rest = ""
			}
			got, rest, err := http1.ReadHead(r, 20000, tt.before)
			if tt.says != "" {
				assert.ErrorContains(t, err, tt.says, tt.in)
				continue
			}
			require.NoError(t, err, tt.in)
			assert.Equal(t, tt.head, string(got))
			assert.Equal(t, tt.rest, string(rest))
		}
	}
}
