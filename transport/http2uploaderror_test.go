package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
)

// complaints are an error that cannot be compared, as those of some validators.
type complaints []string

func (f complaints) Error() string { return strings.Join(f, ", ") }

// What the request's body says of itself, whatever it is, ends its stream and nothing else: not another stream of the connection, also
// where it is what the codec says of another connection, as the body of a proxy's request may.
func TestHTTP2BodyFailsWithAnything(t *testing.T) {
	for name, want := range map[string]error{
		"that cannot be compared": complaints{"a", "b"},
		"of a connection":         http2.ConnectionError(http2.ErrCodeProtocol),
		"of a stream":             http2.StreamError{StreamID: 7, Code: http2.ErrCodeRefusedStream},
		"of a peer's":             resetByPeer(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := newHTTP2Story(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(w, r.Body)
				if r.URL.Path == "/slow" {
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}
			}, false)
			slow := s.get("/slow")
			_, err := s.rt.RoundTrip(s.request(http.MethodPut, "/", io.NopCloser(failingReader{want})))
			assert.Equal(t, want, err)
			s.read(s.get("/"))
			s.wantDials(1)
			require.NoError(t, slow.Body.Close())
			s.eventually("no lease is left", func() bool { return s.ours.Stats().Leased == 0 })
		})
	}
}

// resetByPeer returns what the codec says of a stream that its server reset.
func resetByPeer(t *testing.T) error {
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		return errors.Join(err, f.WriteRSTStream(stream, http2.ErrCodeInternal), f.Rest())
	}))
	tr := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := tr.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	var reset http2.StreamError
	require.ErrorAs(t, err, &reset)
	return err
}
