//go:build linux

package ecosystem_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/watertight-go/watertight/transport"
	"github.com/watertight-go/watertight/transport/leaktest"
)

// word is the message of the service: what protoc would generate has the same use.
type word = wrapperspb.StringValue

// The service's procedures: one answer, many to one question, one to many, and many to many. Count sends until its client goes.
const (
	echoUnary  = "/echo.Echo/Unary"
	echoCount  = "/echo.Echo/Count"
	echoJoin   = "/echo.Echo/Join"
	echoStream = "/echo.Echo/Stream"
)

// echoService starts the service over HTTP/2: with TLS, or without ("h2c").
func echoService(t *testing.T, secure bool) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle(echoUnary, connect.NewUnaryHandler(echoUnary, func(_ context.Context, r *connect.Request[word]) (*connect.Response[word], error) {
		if r.Msg.Value == "" {
			return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("no word"))
		}
		return connect.NewResponse(r.Msg), nil
	}))
	mux.Handle(echoCount, connect.NewServerStreamHandler(echoCount, func(_ context.Context, r *connect.Request[word], s *connect.ServerStream[word]) error {
		for s.Send(r.Msg) == nil {
		}
		return nil
	}))
	mux.Handle(echoJoin, connect.NewClientStreamHandler(echoJoin, func(_ context.Context, s *connect.ClientStream[word]) (*connect.Response[word], error) {
		joined := ""
		for s.Receive() {
			joined += s.Msg().Value
		}
		return connect.NewResponse(&word{Value: joined}), s.Err()
	}))
	mux.Handle(echoStream, connect.NewBidiStreamHandler(echoStream, func(_ context.Context, s *connect.BidiStream[word, word]) error {
		for {
			m, err := s.Receive()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.Send(m); err != nil {
				return err
			}
		}
	}))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	if secure {
		server.EnableHTTP2 = true
		server.Config.Protocols.SetHTTP2(true)
		server.StartTLS()
	} else {
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// speakHTTP2 sets a Transport up for a server of the tests. One for servers with a certificate that the system trusts needs nothing
// over TLS.
func speakHTTP2(tr *transport.Transport, server *httptest.Server) {
	if server.TLS != nil {
		tr.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
		return
	}
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetUnencryptedHTTP2(true) // and not HTTP1: "h2c" is for servers that are known to speak it
}

// client returns a client of one procedure: connect.NewClient takes an http.Client.
func client(tr http.RoundTripper, server *httptest.Server, procedure string, options ...connect.ClientOption) *connect.Client[word, word] {
	return connect.NewClient[word, word](&http.Client{Transport: tr}, server.URL+procedure, options...)
}

// everyProtocol tells a story over TLS and without, with the protocols that connect-go speaks.
func everyProtocol(t *testing.T, tell func(t *testing.T, server *httptest.Server, options ...connect.ClientOption)) {
	for _, secure := range []bool{true, false} {
		for name, option := range map[string]connect.ClientOption{"Connect": connect.WithClientOptions(), "gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb()} {
			t.Run(map[bool]string{true: "TLS ", false: "h2c "}[secure]+name, func(t *testing.T) {
				tell(t, echoService(t, secure), option)
			})
		}
	}
}

// Every kind of call, over one connection.
func TestConnect(t *testing.T) {
	everyProtocol(t, func(t *testing.T, server *httptest.Server, options ...connect.ClientOption) {
		tr := leaktest.NewTransport(t)
		speakHTTP2(tr, server)

		answer, err := client(tr, server, echoUnary, options...).CallUnary(t.Context(), connect.NewRequest(&word{Value: "hello"}))
		require.NoError(t, err)
		assert.Equal(t, "hello", answer.Msg.Value)
		_, err = client(tr, server, echoUnary, options...).CallUnary(t.Context(), connect.NewRequest(&word{}))
		assert.Equal(t, connect.CodeInvalidArgument, connect.CodeOf(err))

		up := client(tr, server, echoJoin, options...).CallClientStream(t.Context())
		for _, s := range []string{"a", "b", "c"} {
			require.NoError(t, up.Send(&word{Value: s}))
		}
		answer, err = up.CloseAndReceive()
		require.NoError(t, err)
		assert.Equal(t, "abc", answer.Msg.Value)

		both := client(tr, server, echoStream, options...).CallBidiStream(t.Context())
		for _, s := range []string{"a", "b", "c"} {
			require.NoError(t, both.Send(&word{Value: s}))
			m, err := both.Receive()
			require.NoError(t, err)
			assert.Equal(t, s, m.Value)
		}
		require.NoError(t, both.CloseRequest())
		_, err = both.Receive()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, both.CloseResponse())

		assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
		assert.EqualValues(t, 1, tr.Stats().Dials)
		wantSockets(t, server.URL, 1)
	})
}

// A stream that is closed or cancelled half-way ends, and the connection goes on.
func TestConnectStreamsHalfWay(t *testing.T) {
	everyProtocol(t, func(t *testing.T, server *httptest.Server, options ...connect.ClientOption) {
		tr := leaktest.NewTransport(t)
		speakHTTP2(tr, server)
		for _, cancelled := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			down, err := client(tr, server, echoCount, options...).CallServerStream(ctx, connect.NewRequest(&word{Value: "again"}))
			require.NoError(t, err)
			require.True(t, down.Receive(), "%v", down.Err())
			if cancelled {
				cancel()
				for down.Receive() {
				}
				assert.Equal(t, connect.CodeCanceled, connect.CodeOf(down.Err()))
			}
			_ = down.Close() // reads on for a while, and then closes the body
			cancel()
			assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
		}
		assert.EqualValues(t, 1, tr.Stats().Dials)
		wantSockets(t, server.URL, 1)
	})
}

// A call that its server breaks off, here as it panics, has the code of the reset: connect-go reads that from the error's text.
func TestConnectServerResets(t *testing.T) {
	everyProtocol(t, func(t *testing.T, server *httptest.Server, options ...connect.ClientOption) {
		serves := server.Config.Handler
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == echoUnary {
				panic(http.ErrAbortHandler)
			}
			serves.ServeHTTP(w, r)
		})
		tr := leaktest.NewTransport(t)
		speakHTTP2(tr, server)
		_, err := client(tr, server, echoUnary, options...).CallUnary(t.Context(), connect.NewRequest(&word{Value: "hello"}))
		assert.Equal(t, connect.CodeInternal, connect.CodeOf(err), "%v", err)
		wantSockets(t, server.URL, 1)
	})
}

// A stream that its caller dropped is found and reset, and the connection goes on.
func TestConnectStreamDropped(t *testing.T) {
	everyProtocol(t, func(t *testing.T, server *httptest.Server, options ...connect.ClientOption) {
		tr, leaks := dropping(t)
		speakHTTP2(tr, server)
		func() {
			down, err := client(tr, server, echoCount, options...).CallServerStream(context.Background(), connect.NewRequest(&word{Value: "again"}))
			require.NoError(t, err)
			require.True(t, down.Receive(), "%v", down.Err())
		}()
		wantDropped(t, leaks)
		assert.Eventually(t, func() bool { return tr.Stats().Idle == 1 }, patience, time.Millisecond)
		wantSockets(t, server.URL, 1)
	})
}
