package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// answersEarly answers each request before its upload ends, and gives no window to that. It counts the streams that are reset.
func answersEarly(resets *atomic.Int64, answer func(f *badserver.Frames, stream uint32) error) func(*badserver.Frames) error {
	return func(f *badserver.Frames) error {
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			switch got := got.(type) {
			case *http2.MetaHeadersFrame:
				err = answer(f, got.StreamID)
			case *http2.RSTStreamFrame:
				resets.Add(1)
			default:
				err = f.Answer(got)
			}
			if err != nil {
				return err
			}
		}
	}
}

// A request that ends behind the head of its response ends at once, stream and all, also while its upload waits: for a Read of its body
// that is stuck, or for a window that the server does not give. Bodies like that are one half of a conversation.
func TestHTTP2CancelledWhileAnUploadWaits(t *testing.T) {
	status := func(f *badserver.Frames, stream uint32, end bool) error { return f.Head(stream, end, ":status", "200") }
	answers := map[string]func(*badserver.Frames, uint32) error{
		"an answer that goes on": func(f *badserver.Frames, stream uint32) error {
			return errors.Join(status(f, stream, false), f.WriteData(stream, false, pattern(10)))
		},
		"a whole answer": func(f *badserver.Frames, stream uint32) error {
			return errors.Join(status(f, stream, false), f.WriteData(stream, true, pattern(10)))
		},
		"an empty answer": func(f *badserver.Frames, stream uint32) error { return status(f, stream, true) },
	}
	uploads := map[string]func() io.Reader{
		"a Read":   func() io.Reader { r, _ := io.Pipe(); return r },
		"a window": func() io.Reader { return endless{} },
	}
	for answer, say := range answers {
		for upload, from := range uploads {
			t.Run(answer+", an upload that waits for "+upload, func(t *testing.T) {
				var resets atomic.Int64
				pinged(t, nil, answersEarly(&resets, say), func(t *testing.T, tr *transport.Transport) {
					ctx, cancel := context.WithCancel(t.Context())
					body := &closingBody{Reader: from()}
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.example/", body)
					require.NoError(t, err)
					resp, err := tr.RoundTrip(req)
					require.NoError(t, err)
					time.Sleep(time.Second)
					assert.Equal(t, 1, tr.Stats().Leased)
					began := time.Now()
					time.AfterFunc(time.Second, cancel)
					defer time.AfterFunc(time.Minute, func() { _ = resp.Body.Close() }).Stop() // which ends a Read, too
					got, err := io.ReadAll(resp.Body)
					if answer == "an answer that goes on" {
						assert.Equal(t, context.Canceled, err)
						assert.Equal(t, time.Second, time.Since(began))
						assert.Equal(t, pattern(10), got)
					} else {
						assert.NoError(t, err)
						<-ctx.Done()
					}
					synctest.Wait()
					assert.Zero(t, tr.Stats().Leased)
					assert.EqualValues(t, 1, resets.Load())
					assert.EqualValues(t, 1, body.closes.Load())
					assert.NoError(t, resp.Body.Close())
					assert.EqualValues(t, 1, tr.Stats().Dials)
					assert.Equal(t, 1, tr.Stats().Idle)
				})
			})
		}
	}
}

// A closingBody passes its Close on, and counts.
type closingBody struct {
	io.Reader
	closes atomic.Int64
}

func (b *closingBody) Close() error {
	b.closes.Add(1)
	if c, ok := b.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Neither does a Read of the request's body that its Close does not end keep who reads the response; the stream, which waits for it, ends
// behind it.
func TestHTTP2CancelledWhileABodyIsStuck(t *testing.T) {
	var resets atomic.Int64
	pinged(t, nil, answersEarly(&resets, func(f *badserver.Frames, stream uint32) error {
		return f.Head(stream, false, ":status", "200")
	}), func(t *testing.T, tr *transport.Transport) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := deafBody{make(chan struct{})}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://a.example/", body)
		require.NoError(t, err)
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		began := time.Now()
		defer time.AfterFunc(time.Minute, func() { _ = resp.Body.Close() }).Stop()
		_, err = io.ReadAll(resp.Body)
		assert.Equal(t, context.DeadlineExceeded, err)
		assert.Equal(t, time.Second, time.Since(began))
		close(body.freed)
		synctest.Wait()
		assert.Zero(t, tr.Stats().Leased)
		assert.EqualValues(t, 1, resets.Load())
	})
}

// The connection's end behind a whole answer is the end of the upload, too: its body is closed, whatever it waits for.
func TestHTTP2ConnectionEndsWhileAnUploadWaits(t *testing.T) {
	for name, from := range map[string]func() io.Reader{
		"a Read":   func() io.Reader { r, _ := io.Pipe(); return r },
		"a window": func() io.Reader { return endless{} },
	} {
		t.Run(name, func(t *testing.T) {
			pinged(t, nil, func(f *badserver.Frames) error {
				stream, err := f.AwaitRequest()
				if err == nil {
					err = f.Head(stream, true, ":status", "200")
				}
				time.Sleep(time.Second) // of the bubble
				return err
			}, func(t *testing.T, tr *transport.Transport) {
				body := &closingBody{Reader: from()}
				req, err := http.NewRequest(http.MethodPost, "http://a.example/", body)
				require.NoError(t, err)
				_, err = tr.RoundTrip(req)
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
				assert.EqualValues(t, 1, body.closes.Load())
				assert.Zero(t, tr.Stats().Open)
			})
		})
	}
}
