package transport_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/internal/memnet"
	"github.com/watertight-go/watertight/transport"
)

// webSocketEcho accepts a WebSocket (RFC 6455) and sends one masked frame back unmasked.
func webSocketEcho(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	// The first frame comes with the head.
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n\x81\x02hi",
		base64.StdEncoding.EncodeToString(sum[:]))
	_ = rw.Flush()
	var head [6]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return
	}
	text := make([]byte, head[1]&0x7f)
	_, _ = io.ReadFull(rw, text)
	for i := range text {
		text[i] ^= head[2+i%4]
	}
	_, _ = c.Write(append([]byte{0x81, byte(len(text))}, text...))
}

// A WebSocket client that upgrades through http.Client gets an io.ReadWriteCloser, which begins with what came with the head, and
// holds no connection of the pool. A Timeout of the client hides the writer, with net/http as with ours.
func TestWebSocketThroughHTTPClient(t *testing.T) {
	everywhere(t, webSocketEcho, func(s *story) {
		for _, timeout := range []time.Duration{0, time.Minute} {
			req := s.request(http.MethodGet, "/", nil)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			req.Header.Set("Sec-WebSocket-Version", "13")
			req.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			resp, err := (&http.Client{Transport: s.rt, Timeout: timeout}).Do(req)
			require.NoError(s, err)
			assert.Equal(s, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept"))
			ws, ok := resp.Body.(io.ReadWriteCloser)
			assert.Equal(s, timeout == 0, ok)
			if !ok {
				require.NoError(s, resp.Body.Close())
				continue
			}
			mask := binary.BigEndian.AppendUint32([]byte{0x81, 0x85}, 0x01020304)
			_, err = ws.Write(append(mask, 'h'^1, 'e'^2, 'l'^3, 'l'^4, 'o'^1))
			require.NoError(s, err)
			b, err := io.ReadAll(bufio.NewReader(ws))
			require.NoError(s, err)
			assert.Equal(s, "\x81\x02hi\x81\x05hello", string(b))
			require.NoError(s, ws.Close())
		}
		if s.ours != nil {
			assert.Zero(s, s.ours.Stats().Leased)
			assert.Empty(s, s.ours.OpenBodies())
		}
	})
}

// An upgraded connection is its caller's: it counts for no limit, nobody who does not read it has forgotten it, and Shutdown neither
// waits for it nor ends it.
func TestAnUpgradeIsItsCallers(t *testing.T) {
	bubble(t, webSocketEcho, func(t *testing.T, _ *memnet.Network, _ *http.Server, tr *transport.Transport) {
		tr.MaxConnsPerHost = 1
		tr.LeakTimeout = time.Minute
		tr.OnLeak = func(l transport.Leak) { t.Errorf("leaked: %v", l) }
		open := func() io.ReadWriteCloser {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/", nil)
			require.NoError(t, err)
			req.Header.Set("Connection", "Upgrade")
			req.Header.Set("Upgrade", "websocket")
			resp, err := tr.RoundTrip(req)
			require.NoError(t, err)
			return resp.Body.(io.ReadWriteCloser)
		}
		sockets := []io.ReadWriteCloser{open(), open()}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.NoError(t, tr.Shutdown(t.Context()))
		assert.Equal(t, 2, tr.Stats().Upgraded)
		for _, ws := range sockets {
			var hi [4]byte
			_, err := io.ReadFull(ws, hi[:])
			require.NoError(t, err)
			assert.Equal(t, "\x81\x02hi", string(hi[:]))
			require.NoError(t, ws.Close())
		}
	})
}
