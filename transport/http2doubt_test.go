package transport_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// timesOut makes a request that has no answer within ResponseHeaderTimeout.
func timesOut(t *testing.T, tr *transport.Transport) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/late", nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
}

// A server goes on with one response for ever, and answers neither requests nor pings. Once a request has waited for its answer in vain, the
// next ones go elsewhere, and what there is goes on.
func TestRequestsWithoutAnswersAreDoubted(t *testing.T) {
	drips := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err == nil {
			err = f.Head(stream, false, ":status", "200")
		}
		for err == nil {
			err = f.WriteData(stream, false, []byte("x"))
			time.Sleep(time.Second) // of the bubble
		}
		return err
	}
	script := func(conn int) badserver.Script {
		if conn == 0 {
			return speaks(drips)
		}
		return speaks(answers(0, nil))
	}
	scripted(t, nil, script, func(t *testing.T, tr *transport.Transport) {
		tr.ResponseHeaderTimeout = 10 * time.Second
		endless := mustGet(t, tr, "http://a.example/endless")
		timesOut(t, tr)
		time.Sleep(15*time.Second + 1) // PingTimeout
		synctest.Wait()
		require.NoError(t, mustGet(t, tr, "http://a.example/next").Body.Close())
		assert.EqualValues(t, 2, tr.Stats().Dials)
		_, err := io.ReadFull(endless.Body, make([]byte, 30))
		require.NoError(t, err)
		require.NoError(t, endless.Body.Close())
		synctest.Wait()
		assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonSilent])
		time.Sleep(2 * time.Second) // and the server notices
	})
}

// A server that answers pings is there, and slow: its connection stays. It is asked once for all that it does not answer, besides the codec's
// one, and again when it has answered something.
func TestSlowServersAreDoubtedOnce(t *testing.T) {
	pings := 0
	slow := func(f *badserver.Frames) error {
		for {
			got, err := f.ReadFrame()
			if err != nil {
				return err
			}
			switch got := got.(type) {
			case *http2.MetaHeadersFrame:
				if got.PseudoValue("path") != "/late" {
					err = f.Head(got.StreamID, true, ":status", "200")
				}
			case *http2.PingFrame:
				pings++
				err = f.Answer(got)
			default:
				err = f.Answer(got)
			}
			if err != nil {
				return err
			}
		}
	}
	pinged(t, nil, slow, func(t *testing.T, tr *transport.Transport) {
		tr.ResponseHeaderTimeout = 2 * time.Second
		for round := range 2 {
			for range 4 {
				timesOut(t, tr)
				synctest.Wait()
			}
			assert.Equal(t, 2*(round+1), pings)
			require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
		}
		time.Sleep(time.Minute)
		require.NoError(t, mustGet(t, tr, "http://a.example/").Body.Close())
		assert.EqualValues(t, 1, tr.Stats().Dials)
	})
}

// A frame that does not end is no sign of life, however many bytes of it come.
func TestHalfAFrameIsSilence(t *testing.T) {
	trickles := func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		return f.Head(stream, false, ":status", "200")
	}
	frame := "\x00\x40\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("x", 1<<14)
	script := append(speaks(trickles), badserver.Trickle{Bytes: frame, Gap: time.Second})
	scripted(t, nil, func(int) badserver.Script { return script }, func(t *testing.T, tr *transport.Transport) {
		resp := mustGet(t, tr, "http://a.example/")
		began := time.Now()
		_, err := io.ReadAll(resp.Body)
		assert.ErrorContains(t, err, "nor an answer to a ping within 15s")
		assert.Equal(t, 45*time.Second, time.Since(began))
		var ee *transport.ExchangeError
		assert.True(t, errors.As(err, &ee))
		time.Sleep(2 * time.Second) // and the server notices
	})
}
