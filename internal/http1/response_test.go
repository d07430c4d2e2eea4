package http1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/http1"
)

// parseHead parses one whole head from bytes that are overwritten afterwards, as a connection's buffer is.
func parseHead(head string, values []string) (*http.Response, error) {
	b := []byte(head)
	resp := new(http.Response)
	_, err := http1.ParseHead(b, resp, values)
	for i := range b {
		b[i] = '#'
	}
	return resp, err
}

// A search that resumes finds what a search in one go finds, wherever the bytes are cut.
func TestHeadEnd(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		rest     int // bytes behind the head; -1: no end
	}{
		{"CRLF", "A\r\nB\r\n\r\nC", 1},
		{"LF", "A\nB\n\nC", 1},
		{"CRLF, then LF", "A\r\nB\r\n\nC", 1},
		{"LF, then CRLF", "A\nB\n\r\nC", 1},
		{"two", "A\r\n\r\nB\r\n\r\n", 5},
		{"empty line first", "\r\nA\r\n\r\n", 5},
		{"empty line with LF first", "\nA\r\n\r\n", 5},
		{"a line of spaces is not empty", "A\r\n \r\n\r\n", 0},
		{"CR CR LF is not empty", "A\r\n\r\r\n", -1},
		{"nothing", "", -1},
		{"cut", "A\r\nB\r\n\r", -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := len(tt.in) - tt.rest
			if tt.rest < 0 {
				want = -1
			}
			for cut := range len(tt.in) + 1 {
				got := http1.HeadEnd([]byte(tt.in[:cut]), 0)
				if got < 0 {
					got = http1.HeadEnd([]byte(tt.in), cut)
				}
				assert.Equal(t, want, got, "cut at %d", cut)
			}
		})
	}
}

func TestParseHead(t *testing.T) {
	for _, tt := range []struct {
		name, in, proto, status string
		code                    int
		header                  http.Header
	}{
		{"plain", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"b"}}},
		{"no fields", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{}},
		{"HTTP/1.0", "HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.0", "404 Not Found", 404, http.Header{}},
		{"HTTP/1.9", "HTTP/1.9 200 OK\r\n\r\n", "HTTP/1.9", "200 OK", 200, http.Header{}},
		{"no reason phrase", "HTTP/1.1 200\r\n\r\n", "HTTP/1.1", "200", 200, http.Header{}},
		{"empty reason phrase", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.1", "200 ", 200, http.Header{}},
		{"many spaces", "HTTP/1.1   200   A  OK \r\n\r\n", "HTTP/1.1", "200   A  OK ", 200, http.Header{}},
		{"obs-text in the reason phrase", "HTTP/1.1 200 \xe9t\xe9\tx\r\n\r\n", "HTTP/1.1", "200 \xe9t\xe9\tx", 200, http.Header{}},
		{"status 999", "HTTP/1.1 999 Request Denied\r\n\r\n", "HTTP/1.1", "999 Request Denied", 999, http.Header{}},
		{"bare LF", "HTTP/1.1 200 OK\nA: b\nC: d\n\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"b"}, "C": {"d"}}},
		{"names become canonical", "HTTP/1.1 200 OK\r\ncontent-TYPE: a\r\nX-9a-_b!c: d\r\nETAG: e\r\n\r\n", "HTTP/1.1", "200 OK", 200,
			http.Header{"Content-Type": {"a"}, "X-9a-_b!c": {"d"}, "Etag": {"e"}}},
		{"a space in a name stays", "HTTP/1.1 200 OK\r\nfoo bar: a\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{"foo bar": {"a"}}},
		{"values are trimmed", "HTTP/1.1 200 OK\r\nA:\r\nB: \t \r\nC:c\r\nD: \t d\te \t\r\n\r\n", "HTTP/1.1", "200 OK", 200,
			http.Header{"A": {""}, "B": {""}, "C": {"c"}, "D": {"d\te"}}},
		{"obs-text in a value", "HTTP/1.1 200 OK\r\nA: \xff\x80\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"\xff\x80"}}},
		{"equal names", "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\na: 3\r\nA:\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"1", "3", ""}, "B": {"2"}}},
		{"folds", "HTTP/1.1 200 OK\r\nA: b \r\n\t  c\t\r\n d\r\nE: f\r\n\r\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"b c d"}, "E": {"f"}}},
		{"folds of nothing", "HTTP/1.1 200 OK\r\nA:\r\n b\r\n \r\n c\r\n \r\nD:\r\n \r\n\r\n", "HTTP/1.1", "200 OK", 200,
			http.Header{"A": {"b  c"}, "D": {""}}},
		{"a fold with a colon", "HTTP/1.1 200 OK\nA: b\n C: d\n\n", "HTTP/1.1", "200 OK", 200, http.Header{"A": {"b C: d"}}},
		{"Pragma", "HTTP/1.1 200 OK\r\nPragma: no-cache\r\n\r\n", "HTTP/1.1", "200 OK", 200,
			http.Header{"Pragma": {"no-cache"}, "Cache-Control": {"no-cache"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseHead(tt.in, nil)
			require.NoError(t, err)
			assert.Equal(t, tt.proto, got.Proto)
			assert.Equal(t, tt.status, got.Status)
			assert.Equal(t, tt.code, got.StatusCode)
			assert.Equal(t, tt.header, got.Header)
			likeReadResponse(t, tt.in, http.MethodGet)
		})
	}
}

// Errors name the part, and keep the values of fields to themselves.
func TestParseHeadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, in, text string }{
		{"nothing", "", `status line: ""`},
		{"an empty line", "\r\n", `status line: ""`},
		{"TLS", "\x15\x03\x01\x00\x02\x02\x50\n", `status line: "\x15\x03\x01\x00\x02\x02P"`},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n", `status line: "SSH-2.0-OpenSSH_9.6"`},
		{"a long line", strings.Repeat("x", 100) + "\r\n\r\n", `status line: "` + strings.Repeat("x", 40) + `..."`},
		{"no status", "HTTP/1.1\r\n\r\n", `status line: "HTTP/1.1"`},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", `status line: version "HTTP/2.0"`},
		{"HTTP/0.9", "HTTP/0.9 200 OK\r\n\r\n", `status line: version "HTTP/0.9"`},
		{"HTTP/1.x", "HTTP/1.x 200 OK\r\n\r\n", `status line: version "HTTP/1.x"`},
		{"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", `status line: "HTTP/1.10 200 OK"`},
		{"lower-case version", "http/1.1 200 OK\r\n\r\n", `status line: "http/1.1 200 OK"`},
		{"tab behind the version", "HTTP/1.1\t200 OK\r\n\r\n", "status line: "},
		{"two digits", "HTTP/1.1 20 OK\r\n\r\n", `status line: status code in "HTTP/1.1 20 OK"`},
		{"four digits", "HTTP/1.1 2000 OK\r\n\r\n", "status line: status code"},
		{"signed", "HTTP/1.1 +20 OK\r\n\r\n", "status line: status code"},
		{"below 100", "HTTP/1.1 099 OK\r\n\r\n", "status line: status code"},
		{"only spaces", "HTTP/1.1    \r\n\r\n", "status line: status code"},
		{"NUL in the reason phrase", "HTTP/1.1 200 O\x00K\r\n\r\n", "status line: control character"},
		{"bare CR in the reason phrase", "HTTP/1.1 200 O\rK\r\n\r\n", "status line: control character"},
		{"no colon", "HTTP/1.1 200 OK\r\nhello\r\n\r\n", "field line: no colon in a line of 5 bytes"},
		{"colon in a fold only", "HTTP/1.1 200 OK\r\nhello\r\n a: b\r\n\r\n", "field line: no colon in a line of 5 bytes"},
		{"a value without a colon", "HTTP/1.1 200 OK\r\nA secret=b\r\n\r\n", `field name: byte 0x3d behind "A"`},
		{"no name", "HTTP/1.1 200 OK\r\n: secret\r\n\r\n", "field name: empty"},
		{"space before the colon", "HTTP/1.1 200 OK\r\nLength : secret\r\n\r\n", `field name: white space behind "Length"`},
		{"tab before the colon", "HTTP/1.1 200 OK\r\nLength\t: secret\r\n\r\n", `field name: byte 0x09 behind "Length"`},
		{"no token", "HTTP/1.1 200 OK\r\nA(b): secret\r\n\r\n", `field name: byte 0x28 behind "A"`},
		{"obs-text in a name", "HTTP/1.1 200 OK\r\n\xe9: secret\r\n\r\n", "field name: byte 0xe9"},
		{"NUL in a value", "HTTP/1.1 200 OK\r\nA: secret\x00\r\n\r\n", `field value: control character in "A"`},
		{"DEL in a long value", "HTTP/1.1 200 OK\r\nA: secret and more\x7f of it\r\n\r\n", `field value: control character in "A"`},
		{"bare CR in a value", "HTTP/1.1 200 OK\r\nA: sec\rret\r\n\r\n", `field value: control character in "A"`},
		{"CR CR LF", "HTTP/1.1 200 OK\r\nA: secret\r\r\n\r\n", `field value: control character in "A"`},
		{"control character in a fold", "HTTP/1.1 200 OK\r\nA: secret\r\n b\x01\r\n\r\n", `field value: control character in "A"`},
		{"a fold first", "HTTP/1.1 200 OK\r\n A: secret\r\n\r\n", "field line: the first one begins with white space"},
		{"no empty line", "HTTP/1.1 200 OK\r\nA: secret\r\n", "field line: no end"},
		{"no end", "HTTP/1.1 200 OK\r\nA: secret", `field value: control character in "A"`},
		{"bytes behind", "HTTP/1.1 200 OK\r\n\r\nsecret", "field line: bytes behind the empty line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseHead(tt.in, nil)
			var m *http1.MalformedError
			require.ErrorAs(t, err, &m)
			require.ErrorContains(t, err, "malformed HTTP response: "+tt.text)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

// The caller's storage is used first, and appending to one field never overwrites another.
func TestParseHeadValues(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nA: 3\r\nC: 4\r\nD: 5\r\n\r\n"
	for n := range 6 {
		storage := make([]string, n, 8)
		resp, err := parseHead(head, storage[:0:n])
		require.NoError(t, err)
		if n >= 2 {
			assert.Equal(t, []string{"1", "2"}, storage[:2])
		}
		assert.Equal(t, make([]string, 8-n), storage[n:8], "beyond the capacity")
		for _, name := range []string{"A", "B", "C", "D"} {
			resp.Header.Add(name, "x")
		}
		assert.Equal(t, http.Header{"A": {"1", "3", "x"}, "B": {"2", "x"}, "C": {"4", "x"}, "D": {"5", "x"}}, resp.Header)
	}
}

// A head costs its header's map and one string, whatever is in it.
func TestParseHeadAllocations(t *testing.T) {
	for name, head := range map[string]string{
		"usual":            "HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\n",
		"lower case":       "HTTP/1.1 200 OK\r\nx-envoy-upstream-service-time: 3\r\nx-made-up: text/plain\r\n\r\n",
		"folds":            "HTTP/1.1 200 OK\r\nA: b\r\n" + strings.Repeat(" c\r\n", 1000) + "\r\n",
		"unusual versions": "HTTP/1.7 299 Whatever\r\nA: b\r\n\r\n",
	} {
		b := make([]byte, len(head))
		var resp http.Response
		var values [8]string
		got := testing.AllocsPerRun(100, func() {
			copy(b, head)
			if _, err := http1.ParseHead(b, &resp, values[:0]); err != nil {
				t.Error(err)
			}
		})
		assert.LessOrEqual(t, got, 3.0, name)
	}
}

// A section has MaxFields fields at most, however many lines they take.
func TestMaxFields(t *testing.T) {
	for _, field := range []string{"a:\r\n", "A: b\r\n c\r\n"} {
		for _, more := range []int{0, 1, 100000} {
			section := strings.Repeat(field, http1.MaxFields+more) + "\r\n"
			resp, err := parseHead("HTTP/1.1 200 OK\r\n"+section, nil)
			_, trailer, _, trailerErr := unchunk("0\r\n"+section, len(section)+3)
			if more == 0 {
				require.NoError(t, err)
				require.NoError(t, trailerErr)
				assert.Len(t, resp.Header["A"], http1.MaxFields)
				assert.Len(t, trailer["A"], http1.MaxFields)
				continue
			}
			var fault *http1.Error
			require.ErrorAs(t, err, &fault)
			assert.EqualError(t, err, "reading the response's head: it has more than 10000 fields")
			assert.EqualError(t, trailerErr, "reading the response's body: its trailer section has more than 10000 fields")
		}
	}
}

// What a hostile head makes us allocate grows with its size, not with the square.
func TestParseHeadMemory(t *testing.T) {
	var names strings.Builder
	for i := range http1.MaxFields {
		fmt.Fprintf(&names, "%x:\n", i)
	}
	for name, head := range map[string]string{
		"one name":   "HTTP/1.1 200 OK\n" + strings.Repeat("a:\n", http1.MaxFields) + "\n",
		"many names": "HTTP/1.1 200 OK\n" + names.String() + "\n",
		"folds":      "HTTP/1.1 200 OK\nA: b\n" + strings.Repeat(" \n", 1<<16) + "\n",
	} {
		b := []byte(head)
		var resp http.Response
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		_, err := http1.ParseHead(b, &resp, nil)
		require.NoError(t, err, name)
		runtime.ReadMemStats(&after)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(60*len(head)), name)
		runtime.GC()
		runtime.ReadMemStats(&after)
		assert.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(20*len(head)), name)
		runtime.KeepAlive(resp)
	}
}

// likeReadResponse compares with http.ReadResponse: what we accept it accepts, with the same result; what it accepts we
// refuse only for the listed reasons.
func likeReadResponse(t *testing.T, head, method string) {
	t.Helper()
	got, err := parseHead(head, make([]string, 0, 4))
	if err == nil {
		_, _, err = http1.ResponseFraming(method, got)
	}
	want, stdErr := http.ReadResponse(bufio.NewReader(strings.NewReader(head)), &http.Request{Method: method})
	if err != nil {
		if stdErr == nil && !stricter(head) {
			t.Fatalf("refused %q: %v", head, err)
		}
		return
	}
	if method == http.MethodConnect && got.StatusCode/100 == 2 {
		return // a tunnel, framed otherwise
	}
	require.NoError(t, stdErr, "accepted %q", head)
	_ = want.Body.Close()
	for _, values := range want.Header { // a fold of nothing leaves it white space at the end
		for i := range values {
			values[i] = strings.TrimRight(values[i], " \t")
		}
	}
	assert.Equal(t, want.Header, got.Header)
	assert.Equal(t, want.Status, got.Status)
	assert.Equal(t, want.StatusCode, got.StatusCode)
	assert.Equal(t, want.Proto, got.Proto)
	assert.Equal(t, [2]int{want.ProtoMajor, want.ProtoMinor}, [2]int{got.ProtoMajor, got.ProtoMinor})
	assert.Equal(t, want.ContentLength, got.ContentLength)
	assert.Equal(t, want.TransferEncoding, got.TransferEncoding)
	assert.Equal(t, want.Close, got.Close)
	assert.Equal(t, want.Trailer, got.Trailer)
}

// stricter reports whether a head has what the comment of ParseHead says is refused.
func stricter(head string) bool {
	line, fields, _ := strings.Cut(head, "\n")
	if strings.Count(fields, "\n") > http1.MaxFields {
		return true
	}
	proto, status, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
	status = strings.TrimLeft(status, " ")
	if !strings.HasPrefix(proto, "HTTP/1.") || status == "" || strings.ContainsRune("+-0", rune(status[0])) {
		return true
	}
	for _, c := range []byte(status) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	for l := range strings.SplitSeq(fields, "\n") {
		if name, _, ok := strings.Cut(l, ":"); ok && strings.HasSuffix(name, " ") {
			return true
		}
	}
	return false
}

func FuzzParseHead(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nx-y: z\r\n\r\n",
		"HTTP/1.1 200 OK\nA: b\n c\n\n", "HTTP/1.1 200 OK\nA: \n \n\n", "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\nTrailer: A, b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nPragma: no-cache\r\n\r\n", "HTTP/1.1 304 X\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA b: c\r\nA b : c\r\n\r\n", "HTTP/1.1 200 OK\r\nA: 12345678\t12345678\x7f\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, head string) {
		if n := http1.HeadEnd([]byte(head), 0); n >= 0 {
			likeReadResponse(t, head[:n], http.MethodGet)
		}
		_, _ = parseHead(head, nil) // must not panic whatever it is given
	})
}

func BenchmarkParseHead(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\nServer: x\r\n\r\n")
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		var resp http.Response
		var values [8]string
		for b.Loop() {
			if n := http1.HeadEnd(head, 0); n != len(head) {
				b.Fatal(n)
			}
			if _, err := http1.ParseHead(head, &resp, values[:0]); err != nil {
				b.Fatal(err)
			}
			if _, _, err := http1.ResponseFraming(http.MethodGet, &resp); err != nil {
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

func ExampleParseHead() {
	received := []byte("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
	n := http1.HeadEnd(received, 0)
	var resp http.Response
	if _, err := http1.ParseHead(received[:n], &resp, nil); err != nil {
		panic(err)
	}
	framing, keepAlive, _ := http1.ResponseFraming(http.MethodGet, &resp)
	fmt.Println(resp.Status, resp.ContentLength, framing == http1.Length, keepAlive)
	// Output: 200 OK 5 true true
}
