//go:build linux

package soak_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/watertight-go/watertight/reaper"
)

// inject serves one connection, and does after each response what its request says.
func (d *desync) inject(tcp *net.TCPConn, config *tls.Config) {
	_ = tcp.SetReadBuffer(bufferSize)
	var c net.Conn = tcp
	if config != nil {
		tc := tls.Server(tcp, config)
		if tc.Handshake() != nil {
			return
		}
		defer tc.Close()
		c = tc
	}
	if d.speakers.Add(-1) >= 0 {
		_, _ = io.WriteString(c, evilResponse)
	} else {
		d.speakers.Add(1)
	}
	r := bufio.NewReader(c)
	ahead := ""
	var end *desyncEnd
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if end == nil {
			end = d.endAt(tcp.RemoteAddr(), tcp.LocalAddr())
		}
		own := fmt.Sprintf("%sHTTP/1.1 200 OK\r\nId: %s\r\nContent-Length: 2\r\n\r\nok", ahead, req.Header.Get("Id"))
		ahead = ""
		switch after := req.Header.Get("After"); after {
		case together:
			own += evilResponse
			fallthrough
		case nothing:
			_, err = io.WriteString(c, own)
		case waited:
			_, err = io.WriteString(c, own)
			spin(delayOf(req))
			_, _ = io.WriteString(c, evilResponse)
			end.sent.Add(1)
		case partial:
			_, err = io.WriteString(c, own)
			spin(delayOf(req))
			_, _ = io.WriteString(c, evilResponse[:30])
			end.sent.Add(1)
			ahead = evilResponse[30:]
		case racing:
			_, err = io.WriteString(c, own)
			spin(delayOf(req))
			_, _ = io.WriteString(c, evilResponse)
			end.look()
		case unbidden:
			_, err = io.WriteString(c, own)
			if _, err := r.Peek(100); err != nil {
				return
			}
			_, _ = io.WriteString(c, evilResponse)
		case speaks:
			d.speakers.Add(1)
			_, _ = io.WriteString(c, own)
			return
		case informs:
			_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"+own+"HTTP/1.1 103 Early Hints\r\nEvil: 1\r\n\r\n")
		}
		if err != nil {
			return
		}
	}
}

func delayOf(req *http.Request) time.Duration {
	n, _ := strconv.Atoi(req.Header.Get("Delay"))
	return time.Duration(n) * time.Microsecond
}

// lookout is how long look goes on: after that the client has made its next request, or is about to find what there is.
const lookout = 300 * time.Microsecond

// look notes whether what was written last is in the client's kernel while the client has no request on the connection, and so has read
// all that came before.
func (end *desyncEnd) look() {
	for until := time.Now().Add(lookout); time.Now().Before(until); {
		turn := end.turn.Load()
		if turn%2 == 1 && errors.Is(reaper.Probe(end.conn), reaper.ErrUnexpectedData) && end.turn.Load() == turn {
			end.seen.Store(turn)
			return
		}
	}
}
