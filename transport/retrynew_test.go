package transport_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// With RetryOnNewConns a request whose connection had just been opened, and ended without an answer, is sent once more, by the rules for
// one that had served before; without, it is not.
func TestRetryOnNewConns(t *testing.T) {
	asked, serves := badserver.ReadRequest{}, badserver.Script{badserver.ReadRequest{}, badserver.Write(okResponse), badserver.Stall{}}
	leaves, serves2 := speaks(func(f *badserver.Frames) error { _, err := f.AwaitRequest(); return err }), speaks(answers(0, nil))
	for _, tt := range []struct {
		name, method string
		how          string // "", TLS or HTTP/2
		scripts      []badserver.Script
		served       bool // with RetryOnNewConns
		dials        int  // and with it
	}{
		{"FIN", http.MethodGet, "", []badserver.Script{{asked, badserver.Close{}}, serves}, true, 2},
		{"FIN over TLS", http.MethodGet, "TLS", []badserver.Script{{asked, badserver.Close{}}, serves}, true, 2},
		{"FIN over HTTP/2", http.MethodGet, "HTTP/2", []badserver.Script{leaves, serves2}, true, 2},
		{"reset", http.MethodGet, "", []badserver.Script{{asked, badserver.RST{}}, serves}, true, 2},
		{"reset each time", http.MethodGet, "", []badserver.Script{{asked, badserver.RST{}}, {asked, badserver.RST{}}, serves}, false, 2},
		{"in the handshake", http.MethodGet, "HTTPS", []badserver.Script{{badserver.Read(1), badserver.RST{}}}, false, 2},
		{"POST", http.MethodPost, "", []badserver.Script{{asked, badserver.Close{}}, serves}, false, 1},
		{"POST over HTTP/2", http.MethodPost, "HTTP/2", []badserver.Script{leaves, serves2}, false, 1},
		{"an answer begun", http.MethodGet, "", []badserver.Script{{asked, badserver.Write("H"), badserver.Close{}}, serves}, false, 1},
		{"no HTTP", http.MethodGet, "", []badserver.Script{{asked, badserver.Write("220 mail\r\n"), badserver.Close{}}, serves}, false, 1},
	} {
		for name, on := range map[string]bool{"on": true, "off": false} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				start := badserver.Start
				if tt.how == "TLS" {
					start = badserver.StartTLS
				}
				server := start(t, tt.scripts...)
				tr := &transport.Transport{TLSClientConfig: server.TLS, Logger: discardLogger, RetryOnNewConns: on}
				url := server.URL
				switch tt.how {
				case "HTTP/2":
					tr.Protocols = speaking((*http.Protocols).SetUnencryptedHTTP2)
				case "HTTPS":
					url = strings.Replace(url, "http:", "https:", 1)
				}
				defer func() { assert.NoError(t, tr.Close()) }()
				dials := 1
				if on {
					dials = tt.dials
				}
				_, _, err := do(t, tr, tt.method, url, "", nil)
				assert.Equal(t, on && tt.served, err == nil, "%v", err)
				assert.Equal(t, dials, server.Accepted())
				assert.EqualValues(t, dials-1, tr.Stats().Retries)
			})
		}
	}
}
