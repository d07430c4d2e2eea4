package http1_test

import (
	"bufio"
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

// unchunk decodes s, given to the decoder in pieces of so many bytes. A body without end is io.ErrUnexpectedEOF.
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

// stdUnchunk has net/http read the same body.
func stdUnchunk(s string) (data string, trailer http.Header, rest string, err error) {
	br := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + s))
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return "", nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return string(b), nil, "", err
	}
	left, err := io.ReadAll(br)
	return string(b), resp.Trailer, string(left), err
}

var pieces = []int{1, 2, 3, 7, 1 << 20}

func TestChunks(t *testing.T) {
	for _, tt := range []struct {
		name, in, data string
		trailer        http.Header
		rest           string
	}{
		{"one", "5\r\nhello\r\n0\r\n\r\n", "hello", nil, ""},
		{"two, and more behind", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nHTTP", "hello0123456789", nil, "HTTP"},
		{"none", "0\r\n\r\n", "", nil, ""},
		{"digits in either case", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", nil, ""},
		{"two digits", "1f\r\n" + strings.Repeat("x", 31) + "\r\n0\r\n\r\n", strings.Repeat("x", 31), nil, ""},
		{"16 digits", "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello", nil, ""},
		{"extensions", "5;a=\"b;\";c\td\r\nhello\r\n0;\r\n\r\n", "hello", nil, ""},
		{"white space behind a size", "5 \t\r\nhello\r\n0 \r\n\r\n", "hello", nil, ""},
		{"the longest line", "5;" + strings.Repeat("a", 4092) + "\r\nhello\r\n0\r\n\r\n", "hello", nil, ""},
		{"data that looks like framing", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", nil, ""},
		{"byte by byte", strings.Repeat("1\r\nx\r\n", 20000) + "0\r\n\r\n", strings.Repeat("x", 20000), nil, ""},
		{"trailer", "0\r\nA: b\r\nc-d:e\r\nA: f\r\n\r\nHTTP", "", http.Header{"A": {"b", "f"}, "C-D": {"e"}}, "HTTP"},
		{"trailer with a fold", "0\r\nA: b\r\n c\r\n\r\n", "", http.Header{"A": {"b c"}}, ""},
		{"bare LF inside a trailer", "0\r\nA: b\nC: d\r\n\r\n", "", http.Header{"A": {"b"}, "C": {"d"}}, ""},
		{"nothing but white space in a trailer's value", "0\r\nA: \r\n\r\n", "", http.Header{"A": {""}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range pieces {
				data, trailer, rest, err := unchunk(tt.in, piece)
				require.NoError(t, err, "pieces of %d", piece)
				require.Equal(t, tt.data, data)
				require.Equal(t, tt.trailer, trailer)
				require.Equal(t, tt.rest, rest)
			}
			data, trailer, rest, err := stdUnchunk(tt.in)
			require.NoError(t, err)
			assert.Equal(t, []any{tt.data, tt.trailer, tt.rest}, []any{data, trailer, rest}, "net/http")
		})
	}
}

func TestChunksRefused(t *testing.T) {
	for _, tt := range []struct{ name, in, text string }{
		{"empty size", "\r\nhello\r\n0\r\n\r\n", "chunk size begins with byte 0x0d"},
		{"space before a size", " 5\r\nhello\r\n0\r\n\r\n", "chunk size begins with byte 0x20"},
		{"plus", "+5\r\nhello\r\n0\r\n\r\n", "chunk size begins with byte 0x2b"},
		{"minus", "-5\r\nhello\r\n0\r\n\r\n", "chunk size begins with byte 0x2d"},
		{"extension alone", ";a\r\n", "chunk size begins with byte 0x3b"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "byte 0x78 behind a chunk size"},
		{"no hexadecimal digit", "5g\r\n", "byte 0x67 behind a chunk size"},
		{"white space inside", "5 5\r\n", "byte 0x35 behind a chunk size"},
		{"white space before an extension", "5 ;a\r\nhello\r\n0\r\n\r\n", "byte 0x3b behind a chunk size"},
		{"17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", "more than 16 digits"},
		{"more than an int64 counts", "8000000000000000\r\n", "chunk size of 9223372036854775808"},
		{"more than half of that", "4000000000000000\r\n", "chunk size of 4611686018427387904"},
		{"bare LF behind a size", "5\nhello\r\n0\r\n\r\n", "bare LF"},
		{"bare LF behind an extension", "5;a\nhello\r\n0\r\n\r\n", "bare LF"},
		{"bare CR behind a size", "5\r;a\r\nhello\r\n0\r\n\r\n", "bare CR"},
		{"bare CR in an extension", "5;\ra\r\nhello\r\n0\r\n\r\n", "bare CR"},
		{"CR CR LF", "5\r\r\nhello\r\n0\r\n\r\n", "bare CR"},
		{"NUL in an extension", "5;a\x00\r\nhello\r\n0\r\n\r\n", "control character 0x00"},
		{"a line that is too long", "5;" + strings.Repeat("a", 4093) + "\r\nhello\r\n0\r\n\r\n", "longer than 4096"},
		{"white space without end", "5" + strings.Repeat(" ", 4096), "longer than 4096"},
		{"mostly extensions", strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 200), "too much framing"},
		{"data without CRLF", "5\r\nhelloX0\r\n\r\n", "no CRLF"},
		{"data with a bare LF", "5\r\nhello\n0\r\n\r\n", "no CRLF"},
		{"data with a bare CR", "5\r\nhello\r0\r\n\r\n", "no CRLF"},
		{"a bare LF for a trailer section", "0\r\n\n", "ends with a bare LF"},
		{"a trailer section that ends with a bare LF", "0\r\nA: b\r\n\nHTTP/1.1 200\r\n\r\n", "ends with a bare LF"},
		{"malformed trailer", "0\r\nA b\r\n\r\n", "no colon"},
		{"control character in a trailer", "0\r\nA: b\x00\r\n\r\n", `control character in "A"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range pieces {
				_, _, _, err := unchunk(tt.in, piece)
				var m *http1.MalformedError
				require.ErrorAs(t, err, &m, "pieces of %d", piece)
				require.ErrorContains(t, err, tt.text, "pieces of %d", piece)
			}
		})
	}
}

// A body that is cut anywhere is short, not malformed.
func TestChunksCut(t *testing.T) {
	const whole = "5;x=y\r\nhello\r\n10 \r\n0123456789abcdef\r\n0\r\nA: b\r\n c\r\n\r\n"
	for cut := range len(whole) {
		for _, piece := range pieces {
			_, _, _, err := unchunk(whole[:cut], piece)
			require.Equal(t, io.ErrUnexpectedEOF, err, "cut at %d", cut)
		}
	}
}

// Trailer fields that would delimit messages are dropped.
func TestTrailerHasNoFraming(t *testing.T) {
	for in, want := range map[string]http.Header{
		"0\r\nA: b\r\ncontent-length: 7\r\nTrailer: x\r\n\r\n": {"A": {"b"}},
		"0\r\ntransfer-ENCODING: chunked\r\n\r\n":              nil,
	} {
		_, trailer, _, err := unchunk(in, 3)
		require.NoError(t, err)
		assert.Equal(t, want, trailer)
	}
}

func TestChunkDecoderMisuse(t *testing.T) {
	var d http1.ChunkDecoder
	assert.Panics(t, func() { d.Take(1) })
	n, err := d.Frame([]byte("5\r\nhello"))
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Panics(t, func() { d.Take(6) })
	assert.Panics(t, func() { d.Take(-1) })
	n, err = d.Frame([]byte("hello"))
	assert.NoError(t, err, "data comes next")
	assert.Zero(t, n)
}

// DecodeAll decodes what is wholly there, from wherever the decoder stands, and leaves everything as it is otherwise.
func TestDecodeAll(t *testing.T) {
	const whole, data = "5\r\nhello\r\n3;x\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nt: u\r\n v\r\n\r\n", "helloabc0123456789abcdef"
	for cut := range len(whole) {
		var d http1.ChunkDecoder
		b := []byte(whole[:cut])
		_, _, ok, err := d.DecodeAll(b)
		require.NoError(t, err)
		require.False(t, ok, "cut at %d", cut)
		require.Equal(t, whole[:cut], string(b))
		require.Equal(t, http1.ChunkDecoder{}, d)
	}
	for read := range len(data) + 1 {
		var d http1.ChunkDecoder
		b := []byte(whole + "HTTP")
		left := b
		for taken := 0; taken < read; {
			n, err := d.Frame(left)
			require.NoError(t, err)
			take := min(d.Remaining(), int64(read-taken))
			d.Take(take)
			left, taken = left[n+int(take):], taken+int(take)
		}
		body, consumed, ok, err := d.DecodeAll(left)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, data[read:], string(body), "%d bytes read before", read)
		require.Equal(t, "HTTP", string(left[consumed:]))
		require.True(t, d.Done())
		require.Equal(t, http.Header{"T": {"u v"}}, d.Trailer())
	}
}

func TestDecodeAllRefuses(t *testing.T) {
	for _, in := range []string{"5\r\nhello\r\n3\r\nabcX", "5\r\nhello\r\n0\r\nab: c\r\n d\r\nA : c\r\n\r\n", "x\r\n"} {
		var d http1.ChunkDecoder
		b := []byte(in)
		_, _, ok, err := d.DecodeAll(b)
		var m *http1.MalformedError
		require.ErrorAs(t, err, &m)
		assert.False(t, ok)
		assert.Equal(t, in, string(b))
		assert.Equal(t, http1.ChunkDecoder{}, d)
	}
}

func TestDecodeAllAllocatesNothing(t *testing.T) {
	in := []byte("5\r\nhello\r\n5\r\nhello\r\n0\r\n\r\n")
	b := make([]byte, len(in))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		copy(b, in)
		var d http1.ChunkDecoder
		if _, _, ok, _ := d.DecodeAll(b); !ok {
			t.Error("not decoded")
		}
	}))
}

// FuzzChunked decodes whole bodies.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "1;a\r\nx\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\nA: b\r\n\r\nrest", "5 \t\r\nhello\r\n0\r\nA:\n \n\r\n\r\n",
		"0\r\nA: b\r\n\nx\r\n\r\n", "0\r\nContent-Length: 1\r\n\r\n", "8000000000000001\r\nx", "0\r\n\r\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(likeChunkedReader)
}

// FuzzTrailer compares what follows the last chunk with net/http.
func FuzzTrailer(f *testing.F) {
	for _, s := range []string{
		"\r\n", "A: b\r\n\r\n", "A: b\nC: d\r\n\r\nHTTP/1.1 200 OK\r\n", "a: b\r\nA: c\r\nB:\r\n\r\n", "A: b\r\n \tc\r\n\r\n", " A: b\r\n\r\n", "A: b\n\n\r\n\r\n", "A: b\r\r\n\r\n", "A : b\r\n\r\n",
		"A b: c\r\n\r\n", ": b\r\n\r\n", "A\r\n\r\n", "A: \x00\r\n\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n", "A: b\r\n", "\n", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { likeChunkedReader(t, "5\r\nhello\r\n0\r\n"+s) })
}

// likeChunkedReader compares with net/http, and the decoder with itself over other cuts of the same bytes.
func likeChunkedReader(t *testing.T, s string) {
	if len(s) > 4000 {
		return // where net/http's buffer ends
	}
	data, trailer, rest, err := unchunk(s, len(s)+1)
	for _, piece := range []int{1, 3} {
		data2, trailer2, rest2, err2 := unchunk(s, piece)
		require.Equal(t, err, err2)
		require.Equal(t, []any{data, trailer, rest}, []any{data2, trailer2, rest2})
	}
	var d http1.ChunkDecoder
	b := []byte(s)
	body, n, ok, allErr := d.DecodeAll(b)
	require.Equal(t, err == nil, ok)
	if ok {
		require.Equal(t, []any{data, trailer, rest}, []any{string(body), d.Trailer(), s[n:]})
	} else {
		require.Equal(t, err != io.ErrUnexpectedEOF, allErr != nil)
		require.Equal(t, s, string(b))
	}
	stdData, stdTrailer, stdRest, stdErr := stdUnchunk(s)
	if err != nil {
		if stdErr == nil && !stricterChunks(err) {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	require.NoError(t, stdErr)
	for name, values := range stdTrailer {
		for i := range values {
			values[i] = strings.TrimRight(values[i], " \t")
		}
		if name == "Content-Length" || name == "Transfer-Encoding" || name == "Trailer" {
			delete(stdTrailer, name)
		}
	}
	if len(stdTrailer) == 0 {
		stdTrailer = nil
	}
	require.Equal(t, []any{stdData, stdTrailer, stdRest}, []any{data, trailer, rest})
}

// stricterChunks reports whether an error has a reason that ChunkDecoder's comment lists.
func stricterChunks(err error) bool {
	for _, reason := range []string{"control character", "ends with a bare LF", "white space behind", "more than"} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
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
