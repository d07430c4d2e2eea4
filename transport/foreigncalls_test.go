package transport_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// A double embeds a net.Conn that it does not have, and is what its own methods say: a panic in any other.
type double struct {
	net.Conn
	beneath net.Conn
}

func (d double) Read(p []byte) (int, error)  { return d.beneath.Read(p) }
func (d double) Write(p []byte) (int, error) { return d.beneath.Write(p) }
func (d double) Close() error                { return d.beneath.Close() }

// Of a dialer's connection nothing is asked but Read, Write and Close, as by net/http: no deadline, no address.
func TestForeignConnectionsAreAskedForLittle(t *testing.T) {
	ours, theirs := net.Pipe()
	tr := &transport.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return double{beneath: ours}, nil }}
	defer func() { assert.NoError(t, tr.Close()) }()
	go func() {
		defer theirs.Close()
		r := bufio.NewReader(theirs)
		answer(t, r, theirs, okResponse)
		answer(t, r, theirs, "nonsense\r\n\r\n")
	}()
	status, got, err := do(t, tr, http.MethodPost, "http://origin.example", "hello", nil)
	require.NoError(t, err)
	assert.Equal(t, "200 ok", fmt.Sprint(status, " ", got))
	for _, c := range tr.Connections() {
		assert.Empty(t, c.Local+c.Remote)
	}
	_, _, err = do(t, tr, http.MethodPost, "http://origin.example", "hello", nil)
	assert.ErrorContains(t, err, "address unknown")
}

// An idling connection brings nothing, for ever, and without an error.
type idling struct{ net.Conn }

func (idling) Read([]byte) (int, error) { return 0, nil }

// A caller's connection whose Read brings nothing, and brings it for ever, has failed, also in the handshake of TLS, for whose end Close
// waits.
func TestForeignConnectionsThatBringNothing(t *testing.T) {
	ours(t, sized, func(s *story) {
		s.ours.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := s.dial(ctx, network, addr)
			return idling{nc}, err
		}
		_, err := s.rt.RoundTrip(s.request(http.MethodGet, "/10", nil))
		assert.ErrorIs(s, err, io.ErrNoProgress)
		assert.NoError(s, s.ours.Close())
	})
}

// A cutOff connection has no address, and was reset: a Write says so, and a Read behind it finds an end, as on a socket.
type cutOff struct {
	net.Conn
	written *sync.WaitGroup
}

func (c cutOff) Write([]byte) (int, error) {
	c.written.Done()
	return 0, syscall.ECONNRESET
}

func (c cutOff) Read([]byte) (int, error) {
	c.written.Wait()
	return 0, io.EOF
}

func (cutOff) Close() error { return nil }

// A connection without an address that is reset while a request's body is sent fails the request, which says so, and not the program.
func TestForeignConnectionsThatAreReset(t *testing.T) {
	tr := &transport.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		c := cutOff{written: new(sync.WaitGroup)}
		c.written.Add(1)
		return c, nil
	}}
	defer func() { assert.NoError(t, tr.Close()) }()
	req, err := http.NewRequest(http.MethodPost, "http://origin.example", io.MultiReader(strings.NewReader("hello")))
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.ErrorIs(t, err, syscall.ECONNRESET)
}
