package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/watertight-go/watertight/internal/http1"
)

// ErrClosed is the error of requests after Close or Shutdown.
var ErrClosed = errors.New("transport: closed")

// errRequestCanceled is what a request ended by CancelRequest or Request.Cancel says: in net/http's words, by the whole of which
// aws-sdk-go tells that it is not to be repeated.
var errRequestCanceled = errors.New("net/http: request canceled")

// An ExchangeError means that a request could not be sent as its caller announced it, that its response broke the rules of
// HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113), exceeded a limit or did not come within ResponseHeaderTimeout, or that a ping was not answered.
// It says with which peer, and at which step. The connection was closed; over HTTP/2 the stream was reset, and the connection closed only
// if it was at fault. The failure of a connection is not an ExchangeError but the connection's own error, such as a [*net.OpError], io.EOF
// or io.ErrUnexpectedEOF. The reset of a stream by the server is an http2.StreamError of golang.org/x/net.
type ExchangeError struct {
	Method string // of the request
	Origin string // scheme and host that the request was for
	Remote string // address at the other end of the connection: the server's, or that of a proxy
	Err    error  // the step, and what was wrong
}

// Error names the method, the origin, the address at the other end and what was wrong, but neither path nor query.
func (e *ExchangeError) Error() string {
	return fmt.Sprintf("transport: %s %s (%s): %v", e.Method, e.Origin, e.Remote, e.Err)
}

// Timeout reports whether a timeout passed.
func (e *ExchangeError) Timeout() bool { return isTimeout(e.Err) }

// isTimeout reports whether err tells that a timeout passed.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Temporary is Timeout.
func (e *ExchangeError) Temporary() bool { return e.Timeout() }

// Unwrap returns Err. One that is a timeout matches [context.DeadlineExceeded].
func (e *ExchangeError) Unwrap() error { return e.Err }

var _ net.Error = (*ExchangeError)(nil)

// endedByPeer reports whether err tells that the other side ended the connection.
func endedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || http1.IsReset(err)
}

// explain says with whom an exchange failed where the error does not say so itself.
func (hc *http1Conn) explain(method string, u *url.URL, err error) error {
	var fault *http1.Error
	var malformed *http1.MalformedError
	if !errors.As(err, &fault) && !errors.As(err, &malformed) {
		return err
	}
	return newExchangeError(method, u, hc.wire(), err)
}

// newExchangeError says with whom an exchange failed: for a request's URL, on nc.
func newExchangeError(method string, u *url.URL, nc net.Conn, err error) *ExchangeError {
	return &ExchangeError{
		Method: cmp.Or(method, http.MethodGet), Origin: u.Scheme + "://" + u.Host,
		Remote: cmp.Or(addrOf(nc.RemoteAddr()), "address unknown"), Err: err,
	}
}

// An AcquireError tells that AcquireTimeout passed while a request waited for one of the connections that
// MaxConnsPerHost allows, or for a stream with HTTP2Config.StrictMaxConcurrentRequests, and who holds them. It is a [net.Error]
// whose Timeout is true, and matches [context.DeadlineExceeded].
type AcquireError struct {
	Origin  string        // the origin that the request was for, or the HTTP proxy that forwards to any, as in Stats
	Limit   int           // MaxConnsPerHost; 0 if the wait was for a stream
	Waited  time.Duration // AcquireTimeout
	Dialing int           // dials in progress, which count against the limit too
	Holders []Holder      // the connections, and the streams of those that speak HTTP/2; the longest held first. Empty if dials take up the whole limit
}

// A Holder is a connection that counts against a limit, or one of its streams.
type Holder struct {
	State string        // "leased" or "idle"
	Age   time.Duration // since the state was entered
	URL   string        // of the request or the open body it serves, redacted; "" if there is none, or it is not known
	Stack string        // where that request was made, one frame per line; "" if not recorded
}

// The states of holders.
const (
	heldLeased = "leased"
	heldIdle   = "idle"
)

// maxHolders is how many holders the text of an AcquireError names.
const maxHolders = 5

// Error names the origin, the limit, the wait, how many dials are in progress, and the first five of the holders.
func (e *AcquireError) Error() string {
	var b strings.Builder
	if e.Limit > 0 {
		fmt.Fprintf(&b, "transport: no connection to %s within %v: all %d (MaxConnsPerHost) are taken", e.Origin, e.Waited, e.Limit)
	} else {
		fmt.Fprintf(&b, "transport: no stream to %s within %v: all that the server allows at once (StrictMaxConcurrentRequests) are taken", e.Origin, e.Waited)
	}
	if e.Dialing > 0 {
		fmt.Fprintf(&b, ", %d of them by dials in progress", e.Dialing)
	}
	for i, h := range e.Holders {
		if i == maxHolders {
			fmt.Fprintf(&b, "; and %d more", len(e.Holders)-i)
			break
		}
		fmt.Fprintf(&b, "; %s for %v", h.State, h.Age.Round(time.Millisecond))
		if h.URL != "" {
			b.WriteString(" by " + h.URL)
		}
		if first, _, _ := strings.Cut(h.Stack, "\n"); first != "" {
			b.WriteString(" opened at " + first)
		}
	}
	return b.String()
}

// Timeout reports true: the wait was bounded by AcquireTimeout.
func (e *AcquireError) Timeout() bool { return true }

// Temporary reports true: a later request may find a free connection.
func (e *AcquireError) Temporary() bool { return true }

// Is reports whether target is context.DeadlineExceeded.
func (e *AcquireError) Is(target error) bool { return target == context.DeadlineExceeded }

var _ net.Error = (*AcquireError)(nil)

// acquireTimeout describes why no connection to r came in time.
func (c *core) acquireTimeout(r route) error {
	e := &AcquireError{
		Origin: r.origin(), Limit: max(c.settings.MaxConnsPerHost, 0), Waited: c.settings.AcquireTimeout, Dialing: c.pool.Gauges(r).Dialing,
	}
	for _, info := range c.pool.Conns(r) {
		if info.Leased {
			e.Holders = append(e.Holders, info.Conn.holders(info.Since)...)
		} else {
			e.Holders = append(e.Holders, Holder{State: heldIdle, Age: info.Since})
		}
	}
	if c.settings.waitsForStreams() && c.shared(r) {
		e.Limit = 0
	}
	slices.SortStableFunc(e.Holders, func(x, y Holder) int { return cmp.Compare(y.Age, x.Age) })
	return e
}

// A ReclaimedError is what a Read or Write returns on a response body that was reclaimed because nobody used it
// ([Forgotten]). It matches [http.ErrBodyReadAfterClose], and is a [net.Error] whose Timeout is true.
type ReclaimedError struct {
	Leak
	Unread      time.Duration // how long no Read had been in progress
	LeakTimeout time.Duration // the setting by which it was reclaimed; 0: its connection was needed
}

// Error names the request, how long nobody read, the setting by which the body was reclaimed, and the line of the request, if that was
// recorded.
func (e *ReclaimedError) Error() string {
	s := fmt.Sprintf("transport: response body of %s %s was reclaimed after nobody read or closed it for %v", e.Method, e.URL, e.Unread.Round(time.Millisecond))
	if e.LeakTimeout > 0 {
		s += fmt.Sprintf(" (LeakTimeout is %v)", e.LeakTimeout)
	} else {
		s += " and a request waited for its connection (a negative LeakTimeout lets it wait)"
	}
	s += fmt.Sprintf("; its head had arrived %v before", e.Age.Round(time.Millisecond))
	if first, _, _ := strings.Cut(e.Stack, "\n"); first != "" {
		s += "; opened at " + first
	}
	return s
}

// Timeout reports true: nobody read for too long.
func (e *ReclaimedError) Timeout() bool { return true }

// Temporary reports false: the rest of the body is lost.
func (e *ReclaimedError) Temporary() bool { return false }

// Unwrap returns http.ErrBodyReadAfterClose: code that handles that error handles this one too.
func (e *ReclaimedError) Unwrap() error { return http.ErrBodyReadAfterClose }

var _ net.Error = (*ReclaimedError)(nil)
