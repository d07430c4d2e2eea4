package transport_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/watertight-go/watertight/internal/badserver"
	"github.com/watertight-go/watertight/transport"
)

// responds answers the first request with a head and then does what last says.
func responds(last func(f *badserver.Frames, stream uint32) error) func(*badserver.Frames) error {
	return func(f *badserver.Frames) error {
		stream, err := f.AwaitRequest()
		if err != nil {
			return err
		}
		if err := f.Head(stream, false, ":status", "200"); err != nil {
			return err
		}
		return last(f, stream)
	}
}

// raw writes a frame as it is.
func raw(f *badserver.Frames, kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) error {
	return f.WriteRawFrame(kind, flags, stream, payload)
}

// A server that breaks the rules costs its connection or its stream: the error says so and with whom, nothing is left, and another
// origin's requests are not disturbed.
func TestMisbehavingHTTP2Servers(t *testing.T) {
	increment := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for _, tt := range []struct {
		name  string
		speak func(*badserver.Frames) error
		says  string // in the error
	}{
		{"a frame that is too large", responds(func(f *badserver.Frames, stream uint32) error {
			f.AllowIllegalWrites = true
			return errors.Join(raw(f, http2.FrameData, 0, stream, make([]byte, 2<<20)), f.Swallow())
		}), "frame too large"},
		{"DATA on stream 0", responds(func(f *badserver.Frames, _ uint32) error {
			return errors.Join(raw(f, http2.FrameData, 0, 0, []byte("x")), f.Swallow())
		}), "PROTOCOL_ERROR"},
		{"DATA on a stream that nobody opened", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(raw(f, http2.FrameData, 0, stream+20, []byte("x")), f.Swallow())
		}), "PROTOCOL_ERROR"},
		{"HEADERS that are no HPACK", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(raw(f, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), f.Swallow())
		}), "COMPRESSION_ERROR"},
		{"CONTINUATION of nothing", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(raw(f, http2.FrameContinuation, http2.FlagContinuationEndHeaders, stream, nil), f.Swallow())
		}), "PROTOCOL_ERROR"},
		{"CONTINUATIONs without end", func(f *badserver.Frames) error {
			stream, err := f.AwaitRequest()
			if err != nil {
				return err
			}
			head := bytes.Clone(f.Block(":status", "200"))
			block := f.Block("a", strings.Repeat("b", 1000))
			err = raw(f, http2.FrameHeaders, 0, stream, head)
			for err == nil {
				err = raw(f, http2.FrameContinuation, 0, stream, block)
			}
			return err
		}, "PROTOCOL_ERROR"},
		{"a window that overflows", responds(func(f *badserver.Frames, _ uint32) error {
			return errors.Join(raw(f, http2.FrameWindowUpdate, 0, 0, increment(1<<31-1)), f.Swallow())
		}), "FLOW_CONTROL_ERROR"},
		{"a stream's window that overflows", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(raw(f, http2.FrameWindowUpdate, 0, stream, increment(1<<31-1)), f.Swallow())
		}), "FLOW_CONTROL_ERROR"},
		{"more than the window allows", responds(func(f *badserver.Frames, stream uint32) error {
			// In one frame: of several some may be read, and given back to the window, before the next comes.
			return errors.Join(f.WriteData(stream, false, make([]byte, 128<<10)), f.Swallow())
		}), "FLOW_CONTROL_ERROR"},
		{"a push", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: 2, BlockFragment: f.Block(":status", "200"), EndHeaders: true}), f.Swallow())
		}), "PROTOCOL_ERROR"},
		{"SETTINGS that may not be", responds(func(f *badserver.Frames, _ uint32) error {
			return errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}), f.Swallow())
		}), "PROTOCOL_ERROR"},
		{"an end in the middle", responds(func(f *badserver.Frames, stream uint32) error {
			return f.WriteData(stream, false, []byte("half"))
		}), "unexpected EOF"},
		{"a reset in the middle", responds(func(f *badserver.Frames, stream uint32) error {
			return errors.Join(f.WriteRSTStream(stream, http2.ErrCodeInternal), f.Swallow())
		}), "INTERNAL_ERROR"},
		{"GOAWAY in the middle, and the end", responds(func(f *badserver.Frames, stream uint32) error {
			return f.WriteGoAway(stream, http2.ErrCodeInternal, []byte("tired"))
		}), "tired"},
		{"another protocol's words", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other := badserver.Start(t, speaks(answers(0, nil)))
			script := badserver.Script{badserver.Write("220 mail.example ESMTP, and more than a frame's head\r\n"), badserver.Stall{}}
			if tt.speak != nil {
				script = append(speaks(tt.speak), badserver.FIN{}, badserver.Stall{}) // a Close with something unread would be a reset
			}
			server := badserver.Start(t, script)
			tr := cleartext(t)
			tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReadFrameSize: 256 << 10}
			require.NoError(t, mustGet(t, tr, other.URL).Body.Close())
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				require.NoError(t, resp.Body.Close())
			}
			require.Error(t, err)
			assert.Contains(t, err.Error(), tt.says)
			var ee *transport.ExchangeError
			if errors.As(err, &ee) {
				assert.Equal(t, server.URL, ee.Origin)
			} else if !errors.As(err, new(http2.StreamError)) {
				assert.Contains(t, []error{io.ErrUnexpectedEOF, io.EOF}, err)
			}
			require.NoError(t, mustGet(t, tr, other.URL).Body.Close())
			assert.Equal(t, 1, other.Accepted())
			require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Bodies == 0 && st.Open <= 2 }, patience, tick)
		})
	}
}

// Pings and SETTINGS by the thousand are answered, and hold up nothing; a client that nobody reads from is given up by its context.
func TestHTTP2Floods(t *testing.T) {
	server := badserver.Start(t, speaks(responds(func(f *badserver.Frames, stream uint32) error {
		left := make(chan error)
		go func() { left <- f.Swallow() }()
		for i := range 5000 {
			err := f.WritePing(false, [8]byte{byte(i)})
			if err == nil && i%10 == 0 {
				err = f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(i + 100)})
			}
			if err != nil {
				return err
			}
		}
		return errors.Join(f.WriteData(stream, true, []byte("hello")), <-left)
	})))
	tr := cleartext(t)
	resp := mustGet(t, tr, server.URL)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(b))
}

// A flood that does not end, also one whose answers nobody reads, holds up the requests on its connection until they are cancelled, and
// no other origin's. Nothing is left of it: a server that does not read is found by a ping.
func TestHTTP2FloodsDisturbNobody(t *testing.T) {
	ping := func(f *badserver.Frames, i int) error { return f.WritePing(false, [8]byte{byte(i)}) }
	settings := func(f *badserver.Frames, i int) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(i + 100)})
	}
	empty := func(f *badserver.Frames, _ int) error { return f.WriteData(1, false, nil) }
	for _, tt := range []struct {
		name  string
		write func(f *badserver.Frames, i int) error
		reads bool
	}{
		{"pings", ping, true},
		{"SETTINGS", settings, true},
		{"DATA of no length", empty, true},
		{"pings, and nobody reads", ping, false},
		{"SETTINGS, and nobody reads", settings, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flood := func(f *badserver.Frames, _ uint32) error {
				left := make(chan error, 1)
				if tt.reads {
					go func() { left <- f.Swallow() }()
				}
				many := func() (err error) {
					for i := 0; i < 100 && err == nil; i++ {
						err = tt.write(f, i)
					}
					return err
				}
				for {
					if err := f.Together(many); err != nil {
						if tt.reads {
							<-left
						}
						return err
					}
				}
			}
			server, other := badserver.Start(t, speaks(responds(flood))), badserver.Start(t, speaks(answers(0, nil)))
			tr := cleartext(t)
			tr.HTTP2 = &http.HTTP2Config{SendPingTimeout: 500 * time.Millisecond, PingTimeout: 500 * time.Millisecond}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil {
					err = nc.(*net.TCPConn).SetWriteBuffer(4 << 10) // it fills soon
				}
				return nc, err
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			if tt.reads {
				time.AfterFunc(200*time.Millisecond, cancel)
			}
			read := make(chan error, 1)
			go func() {
				_, err := io.ReadAll(resp.Body)
				read <- err
			}()
			for err = nil; err == nil; {
				require.NoError(t, mustGet(t, tr, other.URL).Body.Close())
				select {
				case err = <-read:
				default:
				}
			}
			if tt.reads {
				assert.ErrorIs(t, err, context.Canceled)
			} else {
				assert.ErrorContains(t, err, "nor an answer to a ping")
			}
			require.NoError(t, resp.Body.Close())
			require.NoError(t, mustGet(t, tr, other.URL).Body.Close())
			assert.Equal(t, 1, other.Accepted())
			require.Eventually(t, func() bool { st := tr.Stats(); return st.Leased == 0 && st.Bodies == 0 }, patience, tick)
			if !tt.reads {
				require.Eventually(t, func() bool { return tr.Stats().Closes[transport.ReasonSilent] == 1 }, patience, tick)
			}
			require.NoError(t, tr.Close())
			assert.Zero(t, tr.Stats().Open)
		})
	}
}

// Frames that mean nothing to a client are passed over, and so many of them without a response are not: each is a line in the log of the codec's.
func TestHTTP2StrangeFrames(t *testing.T) {
	var lines lockedBuffer
	log.SetOutput(&lines)
	defer log.SetOutput(os.Stderr)
	some := func(f *badserver.Frames, stream uint32, n int) (err error) {
		return f.Together(func() error {
			for i := 0; i < n && err == nil; i++ {
				err = errors.Join(raw(f, http2.FrameType(0x20+i%200), 0, 0, []byte("x")), f.WritePriority(stream, http2.PriorityParam{StreamDep: stream + 2}))
			}
			return err
		})
	}
	served := 0
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		for ; ; served++ {
			stream, err := f.AwaitRequest()
			if err == nil && served == 3 {
				return errors.Join(some(f, stream, 5000), f.Swallow())
			}
			if err == nil {
				err = errors.Join(some(f, stream, 400), f.Head(stream, true, ":status", "204"))
			}
			if err != nil {
				return err
			}
		}
	}), speaks(answers(0, nil)))
	tr := cleartext(t)
	for range 3 {
		require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, nil)
	require.NoError(t, err)
	_, err = tr.RoundTrip(req)
	require.ErrorContains(t, err, "frames that mean nothing")
	assert.Less(t, strings.Count(lines.String(), "unhandled"), 4000)
	require.NoError(t, mustGet(t, tr, server.URL).Body.Close())
	assert.EqualValues(t, 2, tr.Stats().Dials)
	assert.EqualValues(t, 1, tr.Stats().Closes[transport.ReasonFailed])
}

// A server that stops reading holds a request up until its context ends, and nobody else: neither Close nor the end of the
// transport waits for it.
func TestHTTP2ServerThatStopsReading(t *testing.T) {
	window := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}}
	leave := make(chan struct{})
	server := badserver.Start(t, speaks(func(f *badserver.Frames) error {
		if err := f.WriteWindowUpdate(0, 1<<30); err != nil {
			return err
		}
		if _, err := f.AwaitRequest(); err != nil {
			return err
		}
		<-leave
		return nil
	}, window...))
	defer close(leave)
	tr := cleartext(t)
	client := &http.Client{Transport: tr, Timeout: 200 * time.Millisecond}
	began := time.Now()
	_, err := client.Post(server.URL, "a/b", struct{ io.Reader }{endless{}})
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	assert.True(t, ne.Timeout())
	assert.Less(t, time.Since(began), 5*time.Second)
	began = time.Now()
	require.NoError(t, tr.Close())
	assert.Less(t, time.Since(began), 5*time.Second)
}
