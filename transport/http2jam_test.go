//go:build linux

package transport_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/sockstat"
	"github.com/watertight-go/watertight/transport"
)

// What saysOnly does with a request.
const (
	answersIt = iota
	beginsTo  // with a head, and no end
	ignoresIt
)

// saysOnly reads requests, and does what is said with each. Then it reads nothing, and says what say does again and again.
func saysOnly(say func(f *badserver.Frames) error, requests ...int) badserver.Script {
	return speaks(func(f *badserver.Frames) error {
		err := f.WriteWindowUpdate(0, 1<<30)
		for _, what := range requests {
			var stream uint32
			if err == nil {
				stream, err = f.AwaitRequest()
			}
			if err == nil && what != ignoresIt {
				err = f.Head(stream, what == answersIt, ":status", "200")
			}
		}
		for err == nil {
			err = say(f)
			time.Sleep(10 * time.Millisecond)
		}
		return err
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
}

func updates(f *badserver.Frames) error { return f.WriteWindowUpdate(0, 1) }

// jamPatience is how long a Write may take.
const jamPatience = 200 * time.Millisecond

// jammed makes a transport to a server whose first connection is such.
func jammed(t *testing.T, script badserver.Script) (*transport.Transport, *badserver.Server) {
	server := badserver.Start(t, script, speaks(answers(0, nil)))
	tr := cleartext(t)
	tr.HTTP2 = &http.HTTP2Config{PingTimeout: jamPatience}
	require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	return tr, server
}

// wantEstablished waits until there are so many connections, and none that the server has closed.
func wantEstablished(t *testing.T, server *badserver.Server, n int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		have := serverSockets(t, server)
		assert.Equal(c, n, have[sockstat.Established])
		assert.Zero(c, have[sockstat.CloseWait])
	}, patience, tick)
}

// A server that reads nothing, and says enough not to be silent, neither keeps the connection of a request that was given up, whether that
// had a response or not, nor swallows the next ones: however long the network allows it, and after Close as well.
func TestHTTP2ServerThatReadsNothingAndIsNotSilent(t *testing.T) {
	for name, say := range map[string]func(f *badserver.Frames) error{
		"answers to pings":   func(f *badserver.Frames) error { return f.WritePing(true, [8]byte{}) },
		"pings":              func(f *badserver.Frames) error { return f.WritePing(false, [8]byte{}) },
		"updates of windows": updates,
	} {
		t.Run(name, func(t *testing.T) {
			tr, server := jammed(t, saysOnly(say, answersIt, beginsTo))
			giveUpUpload(t, tr, server.URL, beginsTo)
			require.NoError(t, tr.Close())
			wantEstablished(t, server, 0)
			require.Eventually(t, func() bool { return tr.Stats().Closes[transport.ReasonSilent] == 1 }, patience, tick)

			tr, server = jammed(t, saysOnly(say, answersIt, ignoresIt))
			giveUpUpload(t, tr, server.URL, ignoresIt)
			untilDials(t, tr, server.URL, 2)
			wantEstablished(t, server, 1)
			require.Eventually(t, func() bool { return tr.Stats().Closes[transport.ReasonSilent] == 1 }, patience, tick)
		})
	}
}

// One that somebody waits for still goes on, and takes no more requests, until he has his answer or gives it up.
func TestHTTP2ServerThatReadsNothingIsWaitedFor(t *testing.T) {
	const awaited = 3 // the stream
	for name, answered := range map[string]bool{"to its end": true, "and given up": false} {
		t.Run(name, func(t *testing.T) {
			var finish atomic.Bool
			tr, server := jammed(t, saysOnly(func(f *badserver.Frames) error {
				if finish.Swap(false) {
					return f.WriteData(awaited, true, []byte("at last"))
				}
				return updates(f)
			}, answersIt, beginsTo, ignoresIt))
			open := mustGet(t, tr, server.URL)
			giveUpUpload(t, tr, server.URL, ignoresIt)
			untilDials(t, tr, server.URL, 2)
			wantEstablished(t, server, 2)
			assert.Never(t, func() bool { return serverSockets(t, server)[sockstat.Established] != 2 }, 3*jamPatience, tick)
			if finish.Store(answered); answered {
				text, err := io.ReadAll(open.Body)
				require.NoError(t, err)
				assert.Equal(t, "at last", string(text))
			}
			require.NoError(t, open.Body.Close())
			wantEstablished(t, server, 1)
			require.Eventually(t, func() bool { return tr.Stats().Closes[transport.ReasonSilent] == 1 }, patience, tick)
		})
	}
}

// giveUpUpload makes a request with a body that does not end, and ends it once nothing more of that is taken.
func giveUpUpload(t *testing.T, tr *transport.Transport, url string, what int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := &countedBody{Reader: endless{}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	require.NoError(t, err)
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		resp, err := tr.RoundTrip(req)
		done <- result{resp, err}
	}()
	for last := int32(-1); last != body.reads.Load() || last == 0; time.Sleep(200 * time.Millisecond) {
		last = body.reads.Load()
	}
	if what == beginsTo {
		r := <-done
		require.NoError(t, r.err)
		require.NoError(t, r.resp.Body.Close())
		return
	}
	cancel()
	require.ErrorIs(t, (<-done).err, context.Canceled)
}

// untilDials makes requests, of a short time each, until there were so many dials and one has an answer.
func untilDials(t *testing.T, tr *transport.Transport, url string, dials int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := tr.RoundTrip(req)
		return err == nil && resp.Body.Close() == nil && tr.Stats().Dials >= dials
	}, patience, tick)
}
