package transport_test

import (
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Each of these responses is the same to a caller of net/http and of ours, down to what becomes of its connection, except for
// the difference that is named.
func TestResponsesOneByOne(t *testing.T) {
	log.SetOutput(io.Discard) // net/http tells of unsolicited responses
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	server := startScripted(t)
	const ok, two, gzipped = "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\nok", "Content-Encoding: gzip\r\n"
	const chunked, chunks = "Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"
	const framings, refused, cut = "two framings end the connection", "head refused", "a cut head is an unexpected EOF"
	const behind = "bytes behind a response end its connection"
	for name, tt := range map[string]struct{ raw, difference string }{
		"a length":                      {ok + two, ""},
		"no length":                     {ok + "\r\nok", ""},
		"chunks":                        {ok + chunked + "\r\n" + chunks, ""},
		"chunks in capitals":            {ok + "TRANSFER-ENCODING: CHUNKED\r\n\r\n" + chunks, ""},
		"chunks, upper case digits":     {ok + chunked + "\r\nA\r\n0123456789\r\n0\r\n\r\n", ""},
		"chunks, an extension":          {ok + chunked + "\r\n2;a=b\r\nok\r\n0;c\r\n\r\n", ""},
		"chunks and a length":           {ok + chunked + "Content-Length: 9\r\n\r\n" + chunks, framings},
		"chunked twice":                 {ok + chunked + chunked + "\r\n" + chunks, ""},
		"gzip, chunked":                 {ok + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, ""},
		"identity":                      {ok + "Transfer-Encoding: identity\r\n" + two, ""},
		"unknown coding":                {ok + "Transfer-Encoding: x\r\n" + two, ""},
		"empty coding":                  {ok + "Transfer-Encoding:\r\n" + two, ""},
		"length twice":                  {ok + "Content-Length: 2\r\n" + two, ""},
		"length twice, in small":        {ok + "content-length: 2\r\n" + two, ""},
		"length twice, differing":       {ok + "Content-Length: 3\r\n" + two, ""},
		"length as a list":              {ok + "Content-Length: 2, 2\r\n\r\nok", ""},
		"length with zeros":             {ok + "Content-Length: 002\r\n\r\nok", ""},
		"length, padded":                {ok + "Content-Length: \t 2 \r\n\r\nok", ""},
		"length, empty":                 {ok + "Content-Length:\r\n\r\nok", ""},
		"length, hexadecimal":           {ok + "Content-Length: 0x2\r\n\r\nok", ""},
		"length 0":                      {ok + "Content-Length: 0\r\n\r\n", ""},
		"1xx":                           {"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ok + two, ""},
		"1xx with a length":             {"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + ok + two, ""},
		"199":                           {"HTTP/1.1 199 x\r\n\r\n" + ok + two, ""},
		"1xx and no more":               {"HTTP/1.1 103 Early Hints\r\n\r\n", ""},
		"204":                           {"HTTP/1.1 204 No Content\r\n\r\n", ""},
		"204, length 0":                 {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", ""},
		"205":                           {"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", ""},
		"205 with a body":               {"HTTP/1.1 205 Reset Content\r\n" + two, ""},
		"304":                           {"HTTP/1.1 304 Not Modified\r\n\r\n", ""},
		"304 with a length":             {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", ""},
		"304, chunked":                  {"HTTP/1.1 304 Not Modified\r\n" + chunked + "\r\n", ""},
		"unknown code":                  {"HTTP/1.1 799 What\r\n" + two, ""},
		"code of two digits":            {"HTTP/1.1 20 OK\r\n" + two, ""},
		"code below 100":                {"HTTP/1.1 099 OK\r\n" + two, refused},
		"no reason":                     {"HTTP/1.1 200 \r\n" + two, ""},
		"no reason, no space":           {"HTTP/1.1 200\r\n" + two, ""},
		"reason beyond ASCII":           {"HTTP/1.1 200 ö\xff\r\n" + two, ""},
		"reason, spaces":                {"HTTP/1.1 200   so  so  \r\n" + two, ""},
		"reason, a control character":   {"HTTP/1.1 200 a\x01\r\n" + two, refused},
		"HTTP/1.0":                      {"HTTP/1.0 200 OK\r\n" + two, ""},
		"HTTP/1.0, keep-alive":          {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + two, ""},
		"HTTP/1.0, keep-alive, no end":  {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", ""},
		"HTTP/1.0, chunked":             {"HTTP/1.0 200 OK\r\n" + chunked + "\r\n" + chunks, ""},
		"HTTP/1.2":                      {"HTTP/1.2 200 OK\r\n" + two, ""},
		"HTTP/2.0":                      {"HTTP/2.0 200 OK\r\n" + two, refused},
		"HTTP/0.9":                      {"ok", cut},
		"http in small":                 {"http/1.1 200 OK\r\n" + two, ""},
		"close":                         {ok + "Connection: close\r\n" + two, ""},
		"close, in a list":              {ok + "Connection: a, CLOSE\r\n" + two, ""},
		"close, in two fields":          {ok + "Connection: a\r\nconnection: close\r\n" + two, ""},
		"keep-alive":                    {ok + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n" + two, ""},
		"folded":                        {ok + "A: b\r\n c\r\n\td\r\n" + two, ""},
		"folded at the beginning":       {ok + " A: b\r\n" + two, ""},
		"bare LF":                       {"HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nok", ""},
		"bare CR":                       {ok + "A: b\rc\r\n" + two, ""},
		"empty values":                  {ok + "A:\r\nB: \t\r\nA:\r\n" + two, ""},
		"names in any case":             {ok + "aBc-DEF: 1\r\nABC-def: 2\r\n" + two, ""},
		"no name":                       {ok + ": b\r\n" + two, ""},
		"no colon":                      {ok + "a\r\n" + two, ""},
		"space before the colon":        {ok + "A : b\r\n" + two, refused},
		"name beyond ASCII":             {ok + "ä: b\r\n" + two, ""},
		"value beyond ASCII":            {ok + "A: ä\xff\r\n" + two, ""},
		"Set-Cookie, twice":             {ok + "Set-Cookie: a=b\r\nX: y\r\nset-cookie: c=d\r\n" + two, ""},
		"Pragma":                        {ok + "Pragma: no-cache\r\n" + two, ""},
		"trailer":                       {ok + chunked + "Trailer: End\r\n\r\n2\r\nok\r\n0\r\nEnd: a\r\nEnd: b\r\n\r\n", ""},
		"trailer, not announced":        {ok + chunked + "\r\n2\r\nok\r\n0\r\nend: a\r\n\r\n", ""},
		"trailer, announced only":       {ok + chunked + "Trailer: End, other\r\n\r\n" + chunks, ""},
		"trailer, forbidden":            {ok + chunked + "Trailer: Content-Length\r\n\r\n" + chunks, ""},
		"trailer without chunks":        {ok + "Trailer: End\r\n" + two, ""},
		"gzip that is not":              {ok + gzipped + two, ""},
		"gzip of nothing":               {ok + gzipped + "Content-Length: 0\r\n\r\n", ""},
		"two responses":                 {ok + two + ok + two, behind},
		"a line behind the response":    {ok + two + "\r\n", behind},
		"an empty line before":          {"\r\n" + ok + two, ""},
		"cut in the status line":        {"HTTP/1.1 2", cut},
		"cut in the head":               {ok + "A: b\r\n", ""},
		"cut in the body":               {ok + "Content-Length: 3\r\n\r\nok", ""},
		"cut before the body":           {ok + "Content-Length: 3\r\n\r\n", ""},
		"cut in a chunk":                {ok + chunked + "\r\n3\r\nok", ""},
		"cut before the last chunk":     {ok + chunked + "\r\n2\r\nok\r\n", ""},
		"cut before the trailer":        {ok + chunked + "\r\n2\r\nok\r\n0\r\n", "a cut trailer is an unexpected EOF"},
		"HEAD, a length":                {ok + "Content-Length: 2\r\n\r\n", ""},
		"HEAD, chunked":                 {ok + chunked + "\r\n", ""},
		"HEAD, chunked and a length":    {ok + chunked + "Content-Length: 2\r\n\r\n", behind},
		"HEAD, nothing":                 {ok + "\r\n", ""},
		"HEAD, gzip":                    {ok + gzipped + "Content-Length: 9\r\n\r\n", ""},
		"HEAD, lengths that differ":     {ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", ""},
		"HEAD with a body all the same": {ok + two, behind},
		"HEAD, 204":                     {"HTTP/1.1 204 No Content\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &trial{method: http.MethodGet, path: "/", header: http.Header{}}
			if strings.HasPrefix(name, "HEAD") {
				tr.method = http.MethodHead
			}
			tr.extra = tt.difference == behind
			tr.script = script{writes: [][]byte{[]byte(tt.raw)}, keep: endsItself(name)}
			got := compare(t, tr, server.outcome(t, tr, true), server.outcome(t, tr, false))
			switch {
			case tt.difference == "":
				assert.Equal(t, "same", got)
			case tr.extra && got == "same": // net/http may have seen those bytes in time
			default:
				assert.Equal(t, tt.difference, got)
			}
		})
	}
}

// endsItself reports whether a response of the table is complete without its connection's end.
func endsItself(name string) bool {
	switch name {
	case "no length", "length, empty", "HTTP/1.0, keep-alive, no end", "HTTP/1.0, chunked", "HTTP/0.9", "1xx and no more", "identity", "empty coding":
		return false
	}
	return !strings.HasPrefix(name, "cut ")
}

// A head of exactly MaxResponseHeaderBytes is taken, informational ones before it included, and one of a byte more is not.
func TestHeadAtTheLimit(t *testing.T) {
	const limit = 20000
	for name, before := range map[string]string{"": "", "after a 103": "HTTP/1.1 103 Early Hints\r\n\r\n"} {
		for _, size := range []int{limit - 1, limit, limit + 1, 2 * limit} {
			rest := "HTTP/1.1 204 No Content\r\nA: \r\n\r\n"
			fill := strings.Repeat("b", size-len(before)-len(rest))
			server := badserver.Start(t, badserver.Script{badserver.ReadRequest{},
				badserver.Write(before + strings.Replace(rest, "A: ", "A: "+fill, 1)), badserver.FIN{}})
			tr := &transport.Transport{MaxResponseHeaderBytes: limit}
			defer tr.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			if size > limit {
				assert.ErrorContains(t, err, "MaxResponseHeaderBytes", "%s: %d", name, size)
				continue
			}
			require.NoError(t, err, "%s: %d", name, size)
			assert.Equal(t, fill, resp.Header.Get("A"))
		}
	}
}
