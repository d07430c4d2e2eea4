package http1_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// read parses a whole head as an exchange would.
func read(method, head string) (*http.Response, http1.Framing, bool, error) {
	resp := new(http.Response)
	if n := http1.HeadEnd([]byte(head), 0); n != len(head) {
		return nil, 0, false, assert.AnError
	}
	if err := http1.ParseHead([]byte(head), resp, make([]string, 0, 4)); err != nil {
		return nil, 0, false, err
	}
	f, keepAlive, err := http1.ResponseFraming(method, resp)
	return resp, f, keepAlive, err
}

func TestHeads(t *testing.T) {
	for _, tt := range []struct {
		name, head string
		framing    http1.Framing
		keepAlive  bool
		bad        string // part of the error, "" for none
	}{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", http1.Length, true, ""},
		{"no reason", "HTTP/1.1 200\r\n\r\n", http1.UntilClose, false, ""},
		{"empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", http1.NoBody, true, ""},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\n\n", http1.Length, true, ""},
		{"obs-fold", "HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nContent-Length: 1\r\n\r\n", http1.Length, true, ""},
		{"until close", "HTTP/1.1 200 OK\r\n\r\n", http1.UntilClose, false, ""},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", http1.Length, false, ""},
		{"HTTP/1.0 keep-alive", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\n", http1.Length, true, ""},
		{"close in a list", "HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 5\r\n\r\n", http1.Length, false, ""},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", http1.Chunked, true, ""},
		{"chunked and length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", http1.Chunked, false, ""},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", http1.Length, false, ""},
		{"equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5 \r\n\r\n", http1.Length, true, ""},
		{"204 with chunks", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", http1.NoBody, false, ""},
		{"304 with length", "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n", http1.NoBody, true, ""},

		{"different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, false, "differ"},
		{"length list", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", 0, false, "not a number"},
		{"signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", 0, false, "not a number"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", 0, false, "not a number"},
		{"huge length", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", 0, false, "not a number"},
		{"empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", 0, false, "not a number"},
		{"gzip coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 0, false, "Transfer-Encoding"},
		{"two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, false, "Transfer-Encoding"},
		{"space before colon", "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n", 0, false, "field name"},
		{"no colon", "HTTP/1.1 200 OK\r\nhello\r\n\r\n", 0, false, "no colon"},
		{"empty name", "HTTP/1.1 200 OK\r\n: b\r\n\r\n", 0, false, "field name"},
		{"NUL in value", "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n", 0, false, "control character"},
		{"bare CR in value", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", 0, false, "control character"},
		{"leading fold", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", 0, false, "white space"},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", 0, false, "version"},
		{"lower-case version", "http/1.1 200 OK\r\n\r\n", 0, false, "status line"},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", 0, false, "status code"},
		{"status 099", "HTTP/1.1 099 X\r\n\r\n", 0, false, "status code"},
		{"signed status", "HTTP/1.1 +20 OK\r\n\r\n", 0, false, "status code"},
		{"framing in trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: content-length\r\n\r\n", 0, false, "Trailer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, framing, keepAlive, err := read(http.MethodGet, tt.head)
			if tt.bad != "" {
				var m *http1.MalformedError
				require.ErrorAs(t, err, &m)
				assert.Contains(t, err.Error(), tt.bad)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.framing, framing)
			assert.Equal(t, tt.keepAlive, keepAlive)
		})
	}
}

// A search for the head's end that resumes finds what a search in one go finds, wherever the bytes are cut.
func TestHeadEndResumes(t *testing.T) {
	for _, head := range []string{"A\r\nB\r\n\r\nC", "A\nB\n\nC", "A\r\nB\n\r\nC", "A\nB\r\n\nC"} {
		want := http1.HeadEnd([]byte(head), 0)
		require.Equal(t, len(head)-1, want, "%q", head)
		for cut := range len(head) {
			got := http1.HeadEnd([]byte(head[:cut]), 0)
			if got < 0 {
				got = http1.HeadEnd([]byte(head), cut)
			}
			assert.Equal(t, want, got, "%q cut at %d", head, cut)
		}
	}
}

// The header's values never share storage that an append could overwrite.
func TestValuesAreSeparate(t *testing.T) {
	resp, _, _, err := read(http.MethodGet, "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nA: 3\r\nC: 4\r\nD: 5\r\nE: 6\r\n\r\n")
	require.NoError(t, err)
	resp.Header.Add("C", "x")
	assert.Equal(t, http.Header{"A": {"1", "3"}, "B": {"2"}, "C": {"4", "x"}, "D": {"5"}, "E": {"6"}}, resp.Header)
}

// FuzzParseHead compares with http.ReadResponse: what we accept, it accepts, with the same result; what it accepts, we accept but for the listed
// strictness.
func FuzzParseHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nx-y: z\r\n\r\n",
		"HTTP/1.1 200 OK\nA: b\n c\n\n", "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\nTrailer: A, b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\n\r\n", "HTTP/1.1 304 X\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	} {
		f.Add("GET", s)
		f.Add("HEAD", s)
	}
	f.Fuzz(func(t *testing.T, method, head string) {
		n := http1.HeadEnd([]byte(head), 0)
		if n < 0 {
			return
		}
		head = head[:n]
		if method != http.MethodHead {
			method = http.MethodGet
		}
		got, _, _, err := read(method, head)
		want, stdErr := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: method})
		if err != nil {
			if stdErr == nil && !stricter(head) {
				t.Fatalf("refused %q: %v", head, err)
			}
			return
		}
		require.NoError(t, stdErr, "accepted %q", head)
		want.Body.Close()
		for _, values := range want.Header { // an empty fold leaves it a space at the end, which is no part of the value
			for i := range values {
				values[i] = strings.TrimRight(values[i], " ")
			}
		}
		assert.Equal(t, want.Header, got.Header)
		assert.Equal(t, want.Status, got.Status)
		assert.Equal(t, want.StatusCode, got.StatusCode)
		assert.Equal(t, want.Proto, got.Proto)
		assert.Equal(t, want.ContentLength, got.ContentLength)
		assert.Equal(t, want.TransferEncoding, got.TransferEncoding)
		assert.Equal(t, want.Close, got.Close)
		assert.Equal(t, want.Trailer, got.Trailer)
	})
}

// stricter reports whether a head has what ParseHead's comment lists.
func stricter(head string) bool {
	line, fields, _ := strings.Cut(head, "\n")
	proto, rest, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	rest = strings.TrimLeft(rest, " ")
	if !strings.HasPrefix(proto, "HTTP/1.") || len(rest) < 3 || rest[0] == '0' || strings.Trim(rest[:3], "0123456789") != "" {
		return true
	}
	if strings.IndexFunc(rest, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return true
	}
	for _, l := range strings.Split(fields, "\n") {
		if name, _, ok := strings.Cut(l, ":"); ok && strings.Contains(name, " ") {
			return true
		}
	}
	return false
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nServer: x\r\n\r\n")
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		var resp http.Response
		var values [8]string
		for b.Loop() {
			if err := http1.ParseHead(head, &resp, values[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		r := bytes.NewReader(head)
		br := bufio.NewReader(r)
		for b.Loop() {
			r.Reset(head)
			br.Reset(r)
			if _, err := http.ReadResponse(br, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
