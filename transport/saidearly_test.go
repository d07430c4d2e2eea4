package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A sayer is a connection of a caller's on which something can be read as soon as it was dialed.
type sayer struct {
	net.Conn
	says string
	err  error
}

func (s *sayer) Read(p []byte) (int, error) { return copy(p, s.says), s.err }

// What the server says of a connection just dialed is the request's error, whether it is read before that has the connection or behind:
// such as TLS's alert that a certificate is wanted.
func TestWhatEndsAConnectionEarlyIsTold(t *testing.T) {
	alert := errors.New("remote error: tls: certificate required")
	for name, c := range map[string]struct {
		sayer
		want func(error) bool
	}{
		"an alert":   {sayer{err: alert}, func(err error) bool { return err == alert }},
		"an end":     {sayer{err: io.EOF}, func(err error) bool { return err == io.EOF }},
		"a greeting": {sayer{says: "220 mail.example ESMTP\r\n"}, func(err error) bool { return errors.As(err, new(*transport.ExchangeError)) }},
	} {
		t.Run(name, func(t *testing.T) {
			server := startRaw(t, false)
			tr := &transport.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &sayer{nc, c.says, c.err}, err
			}}
			defer func() { assert.NoError(t, tr.Close()) }()
			for range 100 { // which of the two it is, is chance
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.url(), nil)
				require.NoError(t, err)
				_, err = tr.RoundTrip(req)
				require.True(t, c.want(err), "%v", err)
				assert.NoError(t, (<-server.conns).Close())
			}
		})
	}
}
