package transport_test

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// A deafBody is one whose Close does not end a Read.
type deafBody struct{ freed chan struct{} }

func (b deafBody) Read([]byte) (int, error) { <-b.freed; return 0, io.EOF }

func (b deafBody) Close() error { return nil }

// A request whose stream has ended is told so, also while its body's Read is stuck, and its Close does not end that.
func TestHTTP2StreamEndsWhileABodyIsStuck(t *testing.T) {
	for _, row := range []struct {
		name string
		ends func(*badserver.Frames, uint32) error
		says string
	}{
		{"a reset", func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.WriteRSTStream(stream, http2.ErrCodeInternal), f.Rest())
		}, "INTERNAL_ERROR"},
		{"an answer that is none", func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.Head(stream, true, "no", "status"), f.Rest())
		}, "missing status"},
		{"the connection's end", func(*badserver.Frames, uint32) error { return nil }, "EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			pinged(t, nil, func(f *badserver.Frames) error {
				stream, err := f.AwaitRequest()
				if err != nil {
					return err
				}
				time.Sleep(time.Second) // it reads
				return row.ends(f, stream)
			}, func(t *testing.T, tr *transport.Transport) {
				body := deafBody{make(chan struct{})}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a.example/", body)
				require.NoError(t, err)
				told := make(chan error, 1)
				go func() {
					_, err := tr.RoundTrip(req)
					told <- err
				}()
				time.Sleep(2 * time.Second)
				select {
				case err := <-told:
					require.ErrorContains(t, err, row.says)
				default:
					assert.Fail(t, "RoundTrip waits for the body")
				}
				close(body.freed)
				time.Sleep(time.Second)
				assert.Zero(t, tr.Stats().Leased)
			})
		})
	}
}

// An answer that comes while a Read of the request's body is stuck is read to its end, however long that takes.
func TestHTTP2AnswerWhileABodyIsStuck(t *testing.T) {
	for _, status := range []string{"200", "413"} {
		pinged(t, nil, func(f *badserver.Frames) error {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			err = errors.Join(f.Head(stream, false, ":status", status), f.WriteData(stream, false, []byte("hel")))
			time.Sleep(10 * time.Second)
			return errors.Join(err, f.WriteData(stream, true, []byte("lo")), f.Rest())
		}, func(t *testing.T, tr *transport.Transport) {
			body := deafBody{make(chan struct{})}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://a.example/", body)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			b, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "hello", string(b))
			close(body.freed)
			require.NoError(t, resp.Body.Close())
			time.Sleep(time.Second)
			assert.Zero(t, tr.Stats().Leased)
		})
	}
}
