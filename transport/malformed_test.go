package transport_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Whatever a server sends instead of a response, the error is clear, the request's body is closed once, the connection
// is gone, nothing is leased, and the next request is served.
func TestMalformedResponses(t *testing.T) {
	for name, tt := range map[string]struct{ raw, want string }{
		"nothing":             {"", "EOF"},
		"garbage":             {"\x00\x01\x02\r\n\r\n", "malformed"},
		"another protocol":    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "status line"},
		"HTTP/2":              {"HTTP/2.0 200 OK\r\n\r\n", "version"},
		"no status":           {"HTTP/1.1\r\n\r\n", "status line"},
		"half a status line":  {"HTTP/1.1 20", "unexpected EOF"},
		"half a header":       {"HTTP/1.1 200 OK\r\nContent-Le", "unexpected EOF"},
		"no colon":            {"HTTP/1.1 200 OK\r\nhello\r\n\r\n", "colon"},
		"space before colon":  {"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "field"},
		"NUL":                 {"HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", "control character"},
		"lengths that differ": {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length"},
		"negative length":     {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"},
		"signed length":       {"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "Content-Length"},
		"huge length":         {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "Content-Length"},
		"unknown coding":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding"},
		"endless header":      {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", 20000), "MaxResponseHeaderBytes"},
		"many fields":         {"HTTP/1.1 200 OK\r\n" + strings.Repeat("A:\n", 10001) + "\r\n", "more than 10000 fields"},
		"many trailer fields": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A:\r\n", 10001) + "\r\n", "trailer section"},
		"endless line":        {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", 100000), "MaxResponseHeaderBytes"},
		"endless 1xx":         {strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5000), "MaxResponseHeaderBytes"},
		"short body":          {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "unexpected EOF"},
		"bad chunk size":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk"},
		"huge chunk size":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", "chunk"},
		"cut chunk":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc", "unexpected EOF"},
		"no last chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "unexpected EOF"},
		"endless extension":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 10000), "chunk"},
		"corrupt gzip":        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\nnot gzip, no", "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			good := badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.Stall{}}
			server := badserver.Start(t, badserver.Script{badserver.ReadRequest{}, badserver.Write(tt.raw), badserver.FIN{}, badserver.Stall{}}, good)
			tr := &transport.Transport{MaxResponseHeaderBytes: 50000}
			defer tr.Close()
			body := &countedBody{Reader: strings.NewReader("hello")}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, body)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				assert.NoError(t, resp.Body.Close())
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.want)
			if cut := tt.want == "EOF" || tt.want == "unexpected EOF"; !cut && tt.want != "gzip" {
				var ee *transport.ExchangeError
				require.ErrorAs(t, err, &ee)
				assert.Equal(t, server.URL, ee.Origin)
				assert.True(t, strings.HasPrefix(err.Error(), "transport: POST "+server.URL+" ("+ee.Remote+"): "), err.Error())
				assert.Equal(t, strings.TrimPrefix(server.URL, "http://"), ee.Remote)
				assert.False(t, ee.Timeout())
			}
			require.Eventually(t, func() bool { return body.closes.Load() > 0 }, patience, tick, "the upload's goroutine closes the request's body")
			assert.EqualValues(t, 1, body.closes.Load(), "closes of the request's body")
			// Where the framing was sound the connection was kept, until the server's end arrived.
			require.Eventually(t, func() bool { return tr.Stats().Open == 0 }, 10*time.Second, time.Millisecond, "connections")
			assert.Zero(t, tr.Stats().Bodies)

			resp, err = tr.RoundTrip(req.Clone(t.Context()))
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "ok", string(got))
		})
	}
}
