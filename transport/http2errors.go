package transport

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// What we find wrong with an HTTP/2 exchange, besides what the codec says, is an http1.Error as well.

// errNotAsked is the end of a request that is answered without having been written.
var errNotAsked = http1.NewError("the server answered before the request's head was written", false)

// errExited is what becomes of requests whose codec has no error for them: that is so where a hook has exited the goroutine that reads.
// From Go 1.27 on the codec panics instead.
var errExited = http1.NewError("a hook of httptrace did not return, and the connection ended with it", false)

// errStatus is the end of a request whose response has a status that others may read as another, as the codec takes any number for one.
var errStatus = http1.NewError("malformed HTTP response: its :status is no status code of three digits", false)

// judgeHead refuses heads that the codec takes, and we do not over HTTP/1.1. It counts bytes, of which a field may have few, and costs far
// more memory. A head that is not large has few fields, each of which takes a byte at least (RFC 7541 section 6).
func judgeHead(resp *http.Response, large bool) error {
	code, _, _ := strings.Cut(resp.Status, " ") // as it came
	if len(code) != 3 || code[0] < '1' {
		return errStatus
	}
	if !large {
		return nil
	}
	n := 0
	for _, values := range resp.Header {
		n += len(values)
	}
	if n > http1.MaxFields {
		return http1.ErrHeadFields
	}
	return nil
}

// errSilent is what the streams of a connection are told whose server did not answer a ping.
func errSilent(silent, timeout time.Duration) error {
	return http1.NewError("http2: client connection lost: the server sent no frame for "+silent.Round(100*time.Millisecond).String()+", nor an answer to a ping within "+
		timeout.String()+" (HTTP2Config.SendPingTimeout, PingTimeout)", true)
}

// isGzip reports whether err is about the content, which was to be decompressed.
func isGzip(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt)
}

// explain says with whom an exchange failed where the error does not say so itself: those of the connection and of the request's body
// come as they are.
func (hc *http2Conn) explain(method string, u *url.URL, err error) error {
	if body, ok := err.(*uploadError); ok {
		return body.error
	}
	err = hc.behind(err)
	var op *net.OpError
	var fault *http1.Error
	var timeout net.Error
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF, errors.As(err, &op), isReset(err), isGzip(err):
		return err
	case errors.As(err, &fault):
	case errors.As(err, &timeout) && timeout.Timeout():
		err = http1.ErrHeadTimeout // the only one that the codec has
	}
	return newExchangeError(method, u, hc.wire, err)
}

// failedOf notes what a Read or a Write failed of. That the connection is closed is the reason where somebody else closed it, beneath us.
func (w *http2Wire) failedOf(err error) {
	if !w.closed.Load() || !errors.Is(err, net.ErrClosed) {
		w.failure.CompareAndSwap(nil, &err)
	}
}

// cut returns what those are told who are in the middle of something when a Read fails: what the codec says then.
func (w *http2Wire) cut(err error) error {
	var op *net.OpError
	w.mu.Lock()
	away := w.goAway
	w.mu.Unlock()
	if away != nil && (err == io.EOF || errors.As(err, &op) && op.Op == "read") {
		return away.err()
	}
	return http1.UnexpectedEOF(err)
}

// isClosed reports whether err says no more than that the connection is closed: those of the codec have no names.
func (hc *http2Conn) isClosed(err error) bool {
	switch err.Error() {
	case "http2: client conn is closed", "http2: client connection force closed via ClientConn.Close", "http2: client conn could not be established":
		return true
	case "http2: client conn not usable":
		return hc.wire.closed.Load() || hc.wire.lost.Load()
	}
	return errors.Is(err, net.ErrClosed)
}

// reasonWait is how long the codec may take to end.
const reasonWait = time.Second

// behind returns why the connection was closed if err says no more than that it is, as those are told who write or are about to.
func (hc *http2Conn) behind(err error) error {
	if !hc.isClosed(err) {
		return err
	}
	w := hc.wire
	if cause := w.cause.Load(); cause != nil {
		return *cause
	}
	if failure := w.failure.Load(); failure != nil {
		return *failure
	}
	ctx, cancel := context.WithTimeout(context.Background(), reasonWait)
	defer cancel()
	for range 30 { // a ping is told what the codec found wrong or, as chance has it, that it cannot be written
		if found := hc.ping(ctx); found != nil && ctx.Err() == nil && !hc.isClosed(found) {
			return w.cut(found)
		}
	}
	return err
}
