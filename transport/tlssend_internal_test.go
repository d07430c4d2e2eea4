//go:build linux

package transport

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sealedRequest = "GET / HTTP/1.1\r\n\r\n"

// request returns what the server reads of a request, and ends its sender's wait for the response.
func (x *idleTLS) request() string {
	got := make([]byte, len(sealedRequest))
	n, _ := io.ReadFull(x.server, got)
	_, _ = x.wire.Conn.Write([]byte{0})
	return string(got[:n])
}

// nothing asserts that not a byte has come to the server.
func (x *idleTLS) nothing(t *testing.T) {
	raw, err := x.wire.Conn.(*net.UnixConn).SyscallConn()
	require.NoError(t, err)
	n, _ := readNow(raw, make([]byte, 1))
	assert.LessOrEqual(t, n, 0, "bytes that the server got")
}

// FuzzTLSSend has a server send what FuzzTLSLook does, and a request be sent then: none is behind data or an end, and every other can be
// decrypted, whatever TLS had to say meanwhile.
func FuzzTLSSend(f *testing.F) {
	for _, script := range tlsScripts() {
		for way := range tlsWays {
			f.Add(byte(way), []byte(script), true)
			f.Add(byte(way), []byte(script), false)
		}
	}
	f.Fuzz(func(t *testing.T, way byte, script []byte, looked bool) {
		if len(script) > 4000 {
			return
		}
		x := newIdleTLS(t, int(way%tlsWays))
		defer x.close()
		if looked {
			require.NoError(t, x.hc.look(), "tickets of the handshake")
		}
		state := x.play(t, script)
		received := make(chan string, 1)
		if state != over {
			go func() { received <- x.request() }()
		} else {
			received <- ""
		}
		p := append(make([]byte, 0, 4<<10), sealedRequest...)
		wrote, n, err := x.hc.Send(p, p[:cap(p)])
		if n > 0 || err != nil {
			assert.NotEqual(t, fine, state, "%v", err)
			assert.Zero(t, wrote)
			assert.True(t, n == 0 || x.hc.sock().is(mute), "a goodbye that nobody would understand")
			if state == over {
				x.nothing(t)
			}
			x.close()
			assert.Empty(t, <-received)
			return
		}
		assert.NotEqual(t, over, state, "data or an end, and nothing was seen")
		assert.Equal(t, len(sealedRequest), wrote)
		assert.Equal(t, sealedRequest, <-received)
	})
}

// play has the server do everything at once.
func (x *idleTLS) play(t *testing.T, script []byte) (state tlsVerdict) {
	s := tlsScript{left: script}
	for {
		deed, with, ok := s.next()
		if !ok {
			return state
		}
		if deed == sendsFIN {
			require.NoError(t, x.wire.Conn.(*net.UnixConn).CloseWrite())
			return over
		}
		p, verdict := s.do(x, deed, with)
		switch {
		case s.blind:
			state = either
		case verdict > state:
			state = verdict
		}
		_, err := x.wire.Conn.Write(p)
		require.NoError(t, err)
	}
}

// A request for which there is no room in the socket follows when there is some.
func TestSealedRequestAwaitsRoom(t *testing.T) {
	x := newIdleTLS(t, real13Tickets)
	defer x.close()
	full, err := int64(0), error(nil)
	for n := 0; err == nil; full += int64(n) {
		n, err = writeNow(x.hc.sock().raw, make([]byte, 1000))
	}
	received := make(chan string, 1)
	go func() {
		_, err := io.CopyN(io.Discard, x.wire.Conn, full)
		assert.NoError(t, err)
		received <- x.request()
	}()
	wrote, n, err := x.hc.Send([]byte(sealedRequest), make([]byte, 64))
	require.NoError(t, err)
	assert.Equal(t, len(sealedRequest), wrote)
	assert.Zero(t, n)
	assert.Equal(t, sealedRequest, <-received)
}

// What crypto/tls has read already, behind what it was asked for, is seen as well.
func TestSealedRequestBehindReadAhead(t *testing.T) {
	for _, way := range []int{real12, real13Tickets} {
		x := newIdleTLS(t, way)
		require.NoError(t, x.hc.look(), "tickets of the handshake")
		for _, part := range []string{"a", "b"} {
			_, err := io.WriteString(x.server, part)
			require.NoError(t, err)
		}
		_, err := x.wire.Conn.Write(x.wire.take())
		require.NoError(t, err)
		_, err = x.hc.wire().Read(make([]byte, 1))
		require.NoError(t, err)
		require.False(t, x.hc.sock().hasUnread())
		require.NoError(t, x.hc.wire().SetDeadline(time.Now().Add(10*time.Second)))
		wrote, n, err := x.hc.Send([]byte(sealedRequest), make([]byte, 64))
		require.NoError(t, err)
		assert.Zero(t, wrote)
		assert.Positive(t, n)
		x.nothing(t)
		x.close()
	}
}
