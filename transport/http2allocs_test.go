//go:build !race

package transport_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/watertight-go/watertight/transport"
)

// What TestAllocationsOfAnExchange says of HTTP/1.1, of a stream whose response comes at once: most of it is the codec's, of which
// there are as many in net/http.
func TestAllocationsOfAStream(t *testing.T) {
	for _, row := range []struct {
		name   string
		upload int
		body   int
		ctx    bool
		want   float64
	}{
		{"GET 13 B", 0, 13, false, 31},
		{"GET 13 B, a fresh context", 0, 13, true, 34},
		{"GET 4 KiB", 0, 4 << 10, false, 29},
		{"GET nothing", 0, 0, false, 27},
		{"POST 1 KiB", 1 << 10, 13, false, 39},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := startRaw(t, false)
			go func() {
				for c := range server.conns {
					go repeatStreams(c, row.body)
				}
			}()
			ours := &transport.Transport{Protocols: speaking((*http.Protocols).SetUnencryptedHTTP2)}
			defer func() { assert.NoError(t, ours.Close()) }()
			std := &http.Transport{Protocols: ours.Protocols}
			defer std.CloseIdleConnections()
			got, peer := allocations(t, ours, server.url(), row.upload, row.ctx), allocations(t, std, server.url(), row.upload, row.ctx)
			t.Logf("%v, net/http %v", got, peer)
			if transport.CodecIsNetHTTP {
				row.want += 2 // the codec's; with it net/http has five more
			}
			assert.LessOrEqual(t, got, row.want)
			assert.LessOrEqual(t, got, peer)
		})
	}
}

// repeatStreams answers each request, once it has ended, with the same bytes at once, and allocates nothing.
func repeatStreams(c net.Conn, size int) {
	defer c.Close()
	frame := func(b []byte, kind, flags byte, payload string) []byte {
		b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags, 0, 0, 0, 0)
		return append(b, payload...)
	}
	const headers, data, settings, windowUpdate, endStream, endHeaders, ack = 1, 0, 4, 8, 1, 4, 1
	length := fmt.Sprint(size)
	answer := frame(nil, headers, endHeaders, "\x88\x0f\x0d"+string(rune(len(length)))+length) // :status 200, content-length (RFC 7541)
	body := len(answer)
	answer = frame(answer, data, endStream, strings.Repeat("w", size))
	hello := frame(frame(frame(nil, settings, 0, ""), settings, ack, ""), windowUpdate, 0, "\x40\x00\x00\x00") // for all uploads
	if _, err := c.Write(hello); err != nil {
		return
	}
	r := bufio.NewReader(c)
	_, _ = r.Discard(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	for {
		head, err := r.Peek(9)
		if err != nil {
			return
		}
		kind, flags, stream := head[3], head[4], binary.BigEndian.Uint32(head[5:])
		if _, err := r.Discard(9 + int(head[0])<<16 + int(head[1])<<8 + int(head[2])); err != nil {
			return
		}
		if kind > headers || flags&endStream == 0 {
			continue
		}
		binary.BigEndian.PutUint32(answer[5:], stream)
		binary.BigEndian.PutUint32(answer[body+5:], stream)
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}
