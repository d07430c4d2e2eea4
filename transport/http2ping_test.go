package transport_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// pinged tells a story over a network in memory of a server that speaks HTTP/2, connection by connection.
func pinged(t *testing.T, config *http.HTTP2Config, speak func(*badserver.Frames) error, tell func(t *testing.T, tr *transport.Transport), settings ...http2.Setting) {
	scripted(t, config, func(int) badserver.Script { return speaks(speak, settings...) }, tell)
}

// scripted is pinged where each connection, from 0 on, has a script of its own.
func scripted(t *testing.T, config *http.HTTP2Config, script func(conn int) badserver.Script, tell func(t *testing.T, tr *transport.Transport)) {
	synctest.Test(t, func(t *testing.T) {
		var n memnet.Network
		l, err := n.Listen("a.example:80")
		require.NoError(t, err)
		go func() {
			for i := 0; ; i++ {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_ = badserver.Play(c, script(i))
				}()
			}
		}()
		tr := &transport.Transport{DialContext: n.DialContext, HTTP2: config, Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2)}
		tell(t, tr)
		require.NoError(t, tr.Close())
		require.NoError(t, l.Close())
		synctest.Wait()
		assert.Zero(t, n.Open(), "ends of connections")
	})
}

// dead answers a request's head, and is gone.
func dead(f *badserver.Frames) error {
	stream, err := f.AwaitRequest()
	if err != nil {
		return err
	}
	if err := f.Head(stream, false, ":status", "200"); err != nil {
		return err
	}
	return f.Swallow()
}

// A server that is gone without a word is given up 45 seconds after its last frame: who reads then, and who sends, is told why.
func TestDeadServerIsPinged(t *testing.T) {
	pinged(t, nil, dead, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		_, err := io.ReadAll(resp.Body)
		assert.Equal(t, 45*time.Second, time.Since(began))
		require.ErrorContains(t, err, "nor an answer to a ping within 15s")
		var ne net.Error
		require.ErrorAs(t, err, &ne)
		assert.True(t, ne.Timeout())
		synctest.Wait() // its lease may end after its Read
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonSilent])
	})
}

// A frame is no answer to a ping: who sent it may have gone since, and is asked again as if never before.
func TestAFrameIsNoAnswer(t *testing.T) {
	leaving := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, false, ":status", "200"); err != nil {
			return err
		}
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			if _, ok := got.(*http2.PingFrame); ok {
				time.Sleep(10 * time.Second) // of the bubble
				return errors.Join(f.WriteWindowUpdate(0, 1), f.Swallow())
			}
		}
	}
	pinged(t, nil, leaving, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		_, err := io.ReadAll(resp.Body)
		assert.ErrorContains(t, err, "nor an answer to a ping within 15s")
		assert.Equal(t, 85*time.Second, time.Since(began)) // the frame came after 40
	})
}

// When, and how long for the answer, is the caller's to say, or that there are no pings.
func TestPingsAreSet(t *testing.T) {
	pinged(t, &http.HTTP2Config{PingTimeout: time.Second}, dead, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		_, err := io.ReadAll(resp.Body)
		require.Error(t, err)
		assert.Equal(t, 31*time.Second, time.Since(began))
	})
	pinged(t, &http.HTTP2Config{SendPingTimeout: 5 * time.Second}, dead, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		_, err := io.ReadAll(resp.Body)
		require.Error(t, err)
		assert.Equal(t, 20*time.Second, time.Since(began))
	})
	pinged(t, &http.HTTP2Config{SendPingTimeout: -1}, dead, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		time.AfterFunc(time.Hour, func() { _ = resp.Body.Close() })
		_, err := io.ReadAll(resp.Body)
		assert.Equal(t, http.ErrBodyReadAfterClose, err)
	})
}

// Pings that the caller asked for are sent without requests as well, and again and again; an idle connection whose server is gone is closed. A
// request that it carried is sent again.
func TestPingsThatAreAskedFor(t *testing.T) {
	pings := make(chan time.Duration, 100)
	began := time.Now()
	answersFor := func(d time.Duration) func(*badserver.Frames) error {
		return func(f *badserver.Frames) error {
			for {
				got, err := f.ReadFrame()
				if time.Since(began) > d {
					return f.Swallow()
				}
				switch got := got.(type) {
				case *http2.MetaHeadersFrame:
					err = errors.Join(err, f.Head(got.StreamID, true, ":status", "204"))
				case *http2.PingFrame:
					pings <- time.Since(began)
					err = errors.Join(err, f.Answer(got))
				case nil:
				default:
					err = errors.Join(err, f.Answer(got))
				}
				if err != nil {
					return err
				}
			}
		}
	}
	config := &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: time.Second}
	for _, asked := range []bool{false, true} {
		scripted(t, config, func(conn int) badserver.Script {
			if conn == 0 {
				began = time.Now()
				return speaks(answersFor(12 * time.Second))
			}
			return speaks(answersFor(time.Hour))
		}, func(t *testing.T, tr *transport.Transport) {
			assert.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
			time.Sleep(12500 * time.Millisecond) // of the bubble
			assert.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second}, []time.Duration{<-pings, <-pings})
			if asked {
				assert.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
				assert.EqualValues(t, 1, tr.Stats().Retries)
			}
			time.Sleep(4 * time.Second)
			assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonSilent])
		})
	}
}

// A server that punishes pings as gRPC's does, more than two of them within five minutes of each other, lets a silent stream live.
func TestPingsAreNotPunished(t *testing.T) {
	strict := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, false, ":status", "200"); err != nil {
			return err
		}
		began := time.Now()
		var last time.Time
		for strikes := 0; ; {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			if ping, ok := got.(*http2.PingFrame); ok && !ping.IsAck() {
				if time.Since(last) < 5*time.Minute {
					strikes++
				}
				if last = time.Now(); strikes > 2 {
					return f.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
				}
			}
			if err := f.Answer(got); err != nil {
				return err
			}
			if time.Since(began) >= time.Hour { // a ping woke us
				if err := f.WriteData(stream, true, []byte("hello")); err != nil {
					return err
				}
			}
		}
	}
	pinged(t, nil, strict, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(b))
		assert.InDelta(t, time.Hour, time.Since(began), float64(5*time.Minute))
	})
}

// An idle connection is not pinged, but asked as soon as a request uses it: one that died meanwhile costs that request 15 seconds, and
// if it can be repeated nothing else.
func TestIdleConnectionIsPingedWithTheNextRequest(t *testing.T) {
	pings, conns := 0, 0
	speak := func(f *badserver.Frames) error {
		conns++
		if conns > 1 {
			return answers(0, nil)(f)
		}
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, true, ":status", "200"); err != nil {
			return err
		}
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			if got, ok := got.(*http2.PingFrame); ok && !got.IsAck() {
				pings++
			}
		}
	}
	pinged(t, nil, speak, func(t *testing.T, tr *transport.Transport) {
		require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
		time.Sleep(80 * time.Second)
		assert.Zero(t, pings)
		began := time.Now()
		require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
		assert.Equal(t, 15*time.Second, time.Since(began))
		assert.Equal(t, 1, pings)
		assert.Equal(t, 2, conns)
	})
}

// swallows reads, and says nothing at all.
func swallows(f *badserver.Frames) error { return f.Swallow() }

// thenGood has the first connection speak like that, and the others as they should.
func thenGood(first badserver.HTTP2) func(int) badserver.Script {
	return func(conn int) badserver.Script {
		if conn == 0 {
			return badserver.Script{first}
		}
		return speaks(answers(0, nil))
	}
}

// brief makes a request that its caller gives up after a second, which says nothing of the server.
func brief(t *testing.T, tr *transport.Transport) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	assert.ErrorIs(t, err, context.Canceled)
}

// A dead server is found also by those who have no stream, as requests that were given up may still count for it: they have another
// connection when the first is given up.
func TestDeadServerOfWaitingRequests(t *testing.T) {
	for _, config := range []*http.HTTP2Config{nil, {StrictMaxConcurrentRequests: true}} {
		dead := badserver.HTTP2{Settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}, Speak: swallows}
		scripted(t, config, thenGood(dead), func(t *testing.T, tr *transport.Transport) {
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { brief(t, tr) })
			}
			wg.Wait()
			time.Sleep(39 * time.Second)
			began := time.Now()
			require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
			assert.Equal(t, 16*time.Second, time.Since(began))
			synctest.Wait()
			assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonSilent])
		})
	}
}

// A server that never sends its SETTINGS is given up like a dead one, although those who wait for them have no stream.
func TestServerWithoutSettings(t *testing.T) {
	scripted(t, nil, thenGood(badserver.HTTP2{Late: true, Speak: swallows}), func(t *testing.T, tr *transport.Transport) {
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { brief(t, tr) })
		synctest.Wait()
		for range 3 {
			wg.Go(func() { assert.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close()) })
		}
		wg.Wait()
		assert.Equal(t, 45*time.Second, time.Since(began))
		assert.EqualValues(t, 2, tr.Stats().Dials)
	})
}

// SETTINGS that are late hold up all but the first request, and nothing else.
func TestLateSettings(t *testing.T) {
	late := badserver.HTTP2{Late: true, Speak: func(f *badserver.Frames) error {
		time.Sleep(10 * time.Second)
		if err := f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}); err != nil {
			return err
		}
		return answers(0, nil)(f)
	}}
	scripted(t, &http.HTTP2Config{StrictMaxConcurrentRequests: true}, thenGood(late), func(t *testing.T, tr *transport.Transport) {
		began := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { assert.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close()) })
		}
		wg.Wait()
		assert.Equal(t, 10*time.Second, time.Since(began))
		assert.EqualValues(t, 1, tr.Stats().Dials)
	})
}

// Who hangs up in place of an answer was not silent.
func TestAHangUpIsNoSilence(t *testing.T) {
	leaves := func(heads bool) func(*badserver.Frames) error {
		return func(f *badserver.Frames) error {
			stream, err := f.AwaitRequest()
			if err == nil && heads {
				err = f.Head(stream, false, ":status", "200")
			}
			for err == nil {
				var got http2.Frame
				if got, err = f.ReadFrame(); err == nil && got.Header().Type == http2.FramePing {
					time.Sleep(time.Second) // of the bubble: whoever asks has begun to wait
					return nil
				}
			}
			return err
		}
	}
	for range 100 { // two notice it
		for _, heads := range []bool{true, false} {
			pinged(t, nil, leaves(heads), func(t *testing.T, tr *transport.Transport) {
				tr.ResponseHeaderTimeout = 10 * time.Second
				if heads {
					_, err := io.ReadAll(mustGet(t, tr, "http://a.example/").Body)
					require.ErrorIs(t, err, io.ErrUnexpectedEOF)
				} else {
					timesOut(t, tr)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonPeerClosed])
			})
		}
	}
}
