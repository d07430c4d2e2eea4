package transport_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// Libraries tell what went wrong by the text of net/http's errors, which have no types to tell them by. Ours for the same has the text in it;
// of the reset of a stream connect-go looks at the beginning and at the end, for the code that the caller of its procedure is told.
func TestErrorTexts(t *testing.T) {
	begun := func(f *badserver.Frames, stream uint32) error {
		return errors.Join(f.Head(stream, false, ":status", "200"), f.WriteData(stream, false, []byte("begun")))
	}
	reset := func(f *badserver.Frames, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeInternal) }
	swallow := func(f *badserver.Frames, _ uint32) error { return f.Swallow() }
	h2 := func(set setting, then ...func(*badserver.Frames, uint32) error) (setting, badserver.Script) {
		return func(tr *http.Transport) {
				tr.Protocols = speaking((*http.Protocols).SetUnencryptedHTTP2)
				set(tr)
			}, speaks(func(f *badserver.Frames) error {
				stream, err := f.AwaitRequest()
				for _, next := range then {
					if err == nil {
						err = next(f, stream)
					}
				}
				return err
			})
	}
	soon := func(tr *http.Transport) { tr.ResponseHeaderTimeout = 50 * time.Millisecond }
	pings := func(tr *http.Transport) {
		tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond}
	}
	as := func(*http.Transport) {}
	uploaded := func(f *badserver.Frames, _ uint32) error { return f.AwaitEnd() } // or net/http may tell of its write instead
	goAway := func(f *badserver.Frames, stream uint32) error {
		return f.WriteGoAway(stream, http2.ErrCodeEnhanceYourCalm, nil)
	}

	for _, c := range []struct {
		name, begins, has, ends string
		with                    func() (setting, badserver.Script)
	}{
		{name: "no answer", has: "timeout awaiting response headers", with: func() (setting, badserver.Script) {
			return soon, badserver.Script{badserver.ReadHead{}, badserver.Stall{}}
		}},
		{name: "no answer over HTTP/2", has: "timeout awaiting response headers", with: func() (setting, badserver.Script) { return h2(soon, swallow) }},
		{name: "TLS", has: "malformed HTTP response", with: func() (setting, badserver.Script) {
			return as, badserver.Script{badserver.ReadHead{}, badserver.Write("\x15\x03\x01\x00\x02\x02\x16\n"), badserver.Stall{}}
		}},
		{name: "TLS, and no more", has: "malformed HTTP response", with: func() (setting, badserver.Script) {
			return as, badserver.Script{badserver.ReadHead{}, badserver.Write("\x15\x03\x01\x00\x02\x02\x16"), badserver.FIN{}, badserver.Stall{}}
		}},
		{name: "silence", has: "http2: client connection lost", with: func() (setting, badserver.Script) { return h2(pings, begun, swallow) }},
		{name: "GOAWAY", has: "http2: server sent GOAWAY and closed the connection", with: func() (setting, badserver.Script) { return h2(as, uploaded, begun, goAway) }},
		{"a reset", "stream error: stream ID ", "", "; INTERNAL_ERROR; received from peer", func() (setting, badserver.Script) { return h2(as, reset, swallow) }},
		{"a reset of the body", "stream error: stream ID ", "", "; INTERNAL_ERROR; received from peer", func() (setting, badserver.Script) {
			return h2(as, begun, reset, swallow)
		}},
	} {
		for _, std := range []bool{true, false} {
			t.Run(c.name+map[bool]string{true: "/std", false: "/ours"}[std], func(t *testing.T) {
				set, script := c.with()
				err := failure(t, badserver.Start(t, script), set, std)
				require.Error(t, err)
				assert.True(t, strings.HasPrefix(err.Error(), c.begins), err)
				assert.Contains(t, err.Error(), c.has)
				assert.True(t, strings.HasSuffix(err.Error(), c.ends), err)
			})
		}
	}
}

// That a request was cancelled is all that the error of its cancellation says: aws-sdk-go compares the whole of it, so as not to send the
// request again.
func TestErrorTextOfCancel(t *testing.T) {
	canceled := make(chan struct{})
	close(canceled)
	ours(t, echo, func(s *story) {
		req := s.request(http.MethodGet, "/", nil)
		req.Cancel = canceled
		_, err := s.rt.RoundTrip(req)
		assert.EqualError(s, err, "net/http: request canceled")
	})
}

// failure asks the server, and returns the error of that, or of reading what it answers.
func failure(t *testing.T, server *badserver.Server, set setting, std bool) error {
	base := new(http.Transport)
	set(base)
	defer base.CloseIdleConnections()
	var rt http.RoundTripper = base
	if !std {
		own := transport.From(base)
		defer func() { assert.NoError(t, own.Close()) }()
		rt = own
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("not to be sent again"))
	require.NoError(t, err)
	req.GetBody = nil
	resp, err := rt.RoundTrip(req)
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		assert.NoError(t, resp.Body.Close())
	}
	return err
}
