package http1_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// unchunk decodes s, given to the decoder in pieces of so many bytes.
func unchunk(s string, piece int) (data string, trailer http.Header, rest string, err error) {
	var d http1.ChunkDecoder
	var out, held []byte
	for !d.Done() {
		n, err := d.Frame(held)
		held = held[n:]
		if err != nil && err != http1.ErrShort {
			return string(out), nil, "", err
		}
		if take := min(d.Remaining(), int64(len(held))); take > 0 {
			out = append(out, held[:take]...)
			held = held[take:]
			d.Take(take)
			continue
		}
		if d.Done() {
			break
		}
		if s == "" {
			return string(out), nil, "", io.ErrUnexpectedEOF
		}
		more := min(piece, len(s))
		held = append(held, s[:more]...)
		s = s[more:]
	}
	return string(out), d.Trailer(), string(held) + s, nil
}

func TestChunks(t *testing.T) {
	for _, tt := range []struct{ name, in, data, rest, bad string }{
		{"one", "5\r\nhello\r\n0\r\n\r\n", "hello", "", ""},
		{"two, and more behind", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nHTTP", "hello0123456789", "HTTP", ""},
		{"none", "0\r\n\r\n", "", "", ""},
		{"extension", "5;a=\"b\";c\r\nhello\r\n0;x\r\n\r\n", "hello", "", ""},
		{"space behind the size", "5 \t\r\nhello\r\n0\r\n\r\n", "hello", "", ""},
		{"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", "", ""},
		{"trailer", "0\r\nA: b\r\nc: d\r\n\r\n", "", "", ""},

		{"bare LF behind the size", "5\nhello\r\n0\r\n\r\n", "", "", "bare LF"},
		{"bare CR in the line", "5\r;a\r\nhello\r\n0\r\n\r\n", "", "", "bare CR"},
		{"bare CR in an extension", "5;\ra\r\nhello\r\n0\r\n\r\n", "", "", "bare CR"},
		{"no CRLF behind the data", "5\r\nhelloX0\r\n\r\n", "hello", "", "no CRLF"},
		{"sign", "+5\r\nhello\r\n0\r\n\r\n", "", "", "begins with byte 0x2b"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "", "", "byte 0x78 behind a chunk size"},
		{"empty size", "\r\nhello\r\n0\r\n\r\n", "", "", "begins with byte 0x0d"},
		{"overflow", "fffffffffffffffff\r\n", "", "", "more than 16 digits"},
		{"end with a bare LF", "0\r\n\n", "", "", "bare LF"},
		{"malformed trailer", "0\r\nA b\r\n\r\n", "", "", "no colon"},
		{"cut", "5\r\nhel", "hel", "", "unexpected EOF"},
		{"endless line", "5;" + strings.Repeat("a", 5000), "", "", "longer than 4096"},
		{"mostly framing", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 200) + "0\r\n\r\n", "", "", "too much framing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
				data, _, rest, err := unchunk(tt.in, piece)
				if tt.bad != "" {
					require.ErrorContains(t, err, tt.bad, "pieces of %d", piece)
					continue
				}
				require.NoError(t, err, "pieces of %d", piece)
				assert.Equal(t, tt.data, data)
				assert.Equal(t, tt.rest, rest)
			}
		})
	}
}

// Trailer fields arrive; those that delimit messages are dropped.
func TestTrailers(t *testing.T) {
	_, trailer, _, err := unchunk("0\r\nA: b\r\ncontent-length: 7\r\nA: c\r\n\r\n", 3)
	require.NoError(t, err)
	assert.Equal(t, http.Header{"A": {"b", "c"}}, trailer)
}

// DecodeAll decodes what is wholly there, and leaves everything as it is otherwise.
func TestDecodeAll(t *testing.T) {
	whole := "5\r\nhello\r\n3;x\r\nabc\r\n0\r\nT: u\r\n\r\n"
	for cut := range len(whole) {
		var d http1.ChunkDecoder
		b := []byte(whole[:cut])
		_, _, ok, err := d.DecodeAll(b)
		require.NoError(t, err)
		require.False(t, ok, "cut at %d", cut)
		require.Equal(t, whole[:cut], string(b))
		require.Equal(t, http1.ChunkDecoder{}, d)
	}
	var d http1.ChunkDecoder
	body, consumed, ok, err := d.DecodeAll([]byte(whole + "HTTP"))
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, "helloabc", string(body))
	assert.Equal(t, len(whole), consumed)
	assert.Equal(t, http.Header{"T": {"u"}}, d.Trailer())
}

// FuzzChunked compares with net/http's own decoder, and the decoder with itself over other cuts of the same bytes.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "1;a\r\nx\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\nA: b\r\n\r\nrest"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data, _, _, err := unchunk(s, 1<<20)
		for _, piece := range []int{1, 3} {
			again, _, _, err2 := unchunk(s, piece)
			require.Equal(t, err == nil, err2 == nil, "%v / %v", err, err2)
			if err == nil {
				require.Equal(t, data, again)
			}
		}
		std, stdErr := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(s)))
		if err == nil {
			require.NoError(t, stdErr)
			require.Equal(t, string(std), data)
		}
		var d http1.ChunkDecoder
		if body, _, ok, derr := d.DecodeAll([]byte(s)); ok {
			require.NoError(t, derr)
			require.NoError(t, err)
			require.Equal(t, data, string(body))
		}
	})
}

func BenchmarkChunked(b *testing.B) {
	var body bytes.Buffer
	for range 64 {
		body.WriteString("400\r\n" + strings.Repeat("x", 1024) + "\r\n")
	}
	body.WriteString("0\r\n\r\n")
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(64 << 10)
		work := make([]byte, body.Len())
		for b.Loop() {
			copy(work, body.Bytes())
			var d http1.ChunkDecoder
			if _, _, ok, _ := d.DecodeAll(work); !ok {
				b.Fatal("not decoded")
			}
		}
	})
	b.Run("std", func(b *testing.B) {
		b.SetBytes(64 << 10)
		for b.Loop() {
			if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(bytes.NewReader(body.Bytes()))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
