package transport_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// hello returns what a client says of itself before its first request.
func hello(t *testing.T, std bool, set setting) string {
	said := make(chan string, 1)
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		text := ""
		for {
			got, err := f.ReadFrame()
			switch got := got.(type) {
			case *http2.SettingsFrame:
				if !got.IsAck() {
					_ = got.ForeachSetting(func(s http2.Setting) error { text += s.String(); return nil })
				}
			case *http2.WindowUpdateFrame:
				text += fmt.Sprint("window ", got.Increment)
			case *http2.MetaHeadersFrame:
				said <- text
				err = f.Head(got.StreamID, true, ":status", "204")
			}
			if err == nil {
				err = f.Answer(got)
			}
			if err != nil {
				return err
			}
		}
	}))
	base := &http.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2)}
	defer base.CloseIdleConnections()
	set(base)
	var rt http.RoundTripper = base
	switch {
	case std && base.HTTP2 == nil:
		base.HTTP2 = &http.HTTP2Config{MaxReadFrameSize: 16 << 10} // net/http's own default before Go 1.27, and ours
	case std && base.HTTP2.MaxReadFrameSize == 0:
		base.HTTP2.MaxReadFrameSize = 16 << 10
	case !std:
		own := transport.From(base)
		defer func() { assert.NoError(t, own.Close()) }()
		rt = own
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return <-said
}

// What HTTP2 and the limits of heads say is said to the server as net/http says it.
func TestHTTP2ConfigIsSaid(t *testing.T) {
	plain := hello(t, false, func(*http.Transport) {})
	for name, set := range map[string]setting{
		"MaxReadFrameSize":              func(tr *http.Transport) { tr.HTTP2 = &http.HTTP2Config{MaxReadFrameSize: 1 << 15} },
		"MaxDecoderHeaderTableSize":     func(tr *http.Transport) { tr.HTTP2 = &http.HTTP2Config{MaxDecoderHeaderTableSize: 1 << 10} },
		"MaxReceiveBufferPerStream":     func(tr *http.Transport) { tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 17} },
		"MaxReceiveBufferPerConnection": func(tr *http.Transport) { tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 18} },
		"MaxResponseHeaderBytes":        func(tr *http.Transport) { tr.MaxResponseHeaderBytes = 1 << 19 },
	} {
		t.Run(name, func(t *testing.T) {
			said := hello(t, false, set)
			assert.Equal(t, hello(t, true, set), said)
			assert.NotEqual(t, plain, said)
		})
	}
}

// CountError is told of what goes wrong on a connection.
func TestHTTP2CountError(t *testing.T) {
	server := badserver.Start(t, speaks(responds(func(f *badserver.Frames, stream uint32) error {
		return f.WriteRawFrame(http2.FrameData, 0, 0, nil) // on no stream
	})))
	tr := cleartext(t)
	var count atomic.Int64
	tr.HTTP2 = &http.HTTP2Config{CountError: func(string) { count.Add(1) }}
	resp := mustGet(t, tr, server.URL)
	_, err := io.ReadAll(resp.Body)
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Positive(t, count.Load())
}

// WriteByteTimeout ends a connection whose server takes nothing any more.
func TestHTTP2WriteByteTimeout(t *testing.T) {
	leave := make(chan struct{})
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		if err := f.WriteWindowUpdate(0, 1<<30); err != nil {
			return err
		}
		_, err := f.AwaitRequest()
		<-leave
		return err
	}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
	defer close(leave)
	tr := cleartext(t)
	tr.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 200 * time.Millisecond}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, struct{ io.Reader }{endless{}})
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	require.ErrorContains(t, err, "timeout")
	require.Eventually(t, func() bool { st := tr.Stats(); return st.Open == 0 }, patience, tick)
}
