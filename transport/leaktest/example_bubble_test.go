package leaktest_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watertight-go/watertight/transport/leaktest"
)

// Pipes are a network for one server and a bubble of testing/synctest: what is dialed is accepted.
type pipes struct {
	accepts chan net.Conn
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepts <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepts:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// testInABubble is a test of something that takes an hour.
func testInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Hour)
			fmt.Fprint(w, "alice")
		})}
		go func() { _ = server.Serve(network) }()
		t.Cleanup(func() { _ = server.Close() })

		tr := leaktest.NewTransport(t) // checked and closed before the server is
		tr.DialContext = network.DialContext
		if got, err := userOf(&http.Client{Transport: tr}, "http://a.example"); got != "alice" || err != nil {
			t.Error(got, err)
		}
	})
}

// In a bubble an hour takes no time. All that is needed besides is a DialContext that stays in memory.
func Example_bubble() {
	_ = testInABubble // package testing calls it
}
