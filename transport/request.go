package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"github.com/watertight-go/watertight/internal/http1"
)

// checkShape refuses a request that no RoundTripper could send.
func checkShape(req *http.Request) error {
	switch {
	case req.URL == nil:
		return errors.New("transport: nil Request.URL")
	case req.Header == nil:
		return errors.New("transport: nil Request.Header")
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return nil // whoever is registered for it knows its rules
	}
	if err := checkHeader("header", req.Header); err != nil {
		return err
	}
	return checkHeader("trailer", req.Trailer)
}

// checkHeader refuses names and values that RFC 9110 section 5 does not allow. Values stay out of the text, they may
// be secret.
func checkHeader(what string, h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("transport: invalid %s field name %q", what, name)
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("transport: invalid %s field value for %q", what, name)
			}
		}
	}
	return nil
}

// checkTarget refuses a request that cannot be sent over HTTP.
func checkTarget(req *http.Request) error {
	switch {
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return fmt.Errorf("transport: unsupported protocol scheme %q", req.URL.Scheme)
	case req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method):
		return fmt.Errorf("transport: invalid method %q", req.Method)
	case req.URL.Host == "":
		return errors.New("transport: no Host in request URL")
	}
	if key := forbiddenTrailer(req.Trailer); key != "" && sendsChunked(req) {
		return fmt.Errorf("transport: invalid trailer field %q: it delimits messages, check Request.Trailer", key)
	}
	return nil
}

// forbiddenTrailer returns a field that RFC 9110 section 6.5.1 keeps out of trailers, "" if h has none.
func forbiddenTrailer(h http.Header) string {
	for name := range h {
		if http1.FramesMessage(name) {
			return name
		}
	}
	return ""
}

// refuse ends a request that was not sent: its body is closed all the same.
func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// wantsUpgrade reports whether the request asks for another protocol, which only HTTP/1.1 can do.
func wantsUpgrade(req *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(req.Header["Connection"], "upgrade") &&
		httpguts.HeaderValuesContainsToken(req.Header["Upgrade"], "websocket")
}

// expectsContinue reports whether the body waits for "100 Continue".
func expectsContinue(req *http.Request) bool {
	return req.ProtoAtLeast(1, 1) && httpguts.HeaderValuesContainsToken(req.Header["Expect"], "100-continue")
}

// acceptsGzip reports whether we ask for gzip on the caller's behalf, and so decode it.
func acceptsGzip(req *http.Request) bool {
	return req.Method != http.MethodHead && first(req.Header, "Accept-Encoding") == "" && first(req.Header, "Range") == ""
}

// first returns a field's first value, "" if it has none. The name is in its canonical form, which Header.Get makes each time.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// A requestBody is a request's body for one attempt. It closes once, whoever closes.
type requestBody struct {
	io.ReadCloser
	used   atomic.Bool // read or closed: another attempt needs a new one
	closed atomic.Bool
	sends  atomic.Pointer[outgoing] // nil: nobody asks
}

// An outgoing is when a request's body was last read from, by the core's clock. The guard of a response has it, and must not reach the body.
type outgoing struct {
	core *core
	last atomic.Int64
}

// at returns it, 0 where it is not known.
func (s *outgoing) at() int64 {
	if s == nil {
		return 0
	}
	return s.last.Load()
}

// watch has it noted when the body is read from, where it is still being sent behind a response; else it returns nil.
func (b *requestBody) watch(c *core) *outgoing {
	if b == nil || b.closed.Load() {
		return nil
	}
	s := &outgoing{core: c}
	b.sends.Store(s)
	return s
}

// newRequestBody returns nil where the request has no body.
func newRequestBody(req *http.Request) *requestBody {
	if req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	return &requestBody{ReadCloser: req.Body}
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.used.Store(true)
	n, err := b.ReadCloser.Read(p)
	if s := b.sends.Load(); s != nil {
		s.last.Store(int64(s.core.clock()))
	}
	return n, err
}

func (b *requestBody) Close() error {
	b.used.Store(true)
	if b.closed.Swap(true) {
		return nil
	}
	return b.ReadCloser.Close()
}

// Unwrap returns the caller's body, which may be of a kind that never blocks.
func (b *requestBody) Unwrap() io.ReadCloser { return b.ReadCloser }

// close is Close for a body that may be nil.
func (b *requestBody) close() {
	if b != nil {
		_ = b.Close()
	}
}

// rewind returns a body for another attempt: the same if it was not used, one from GetBody otherwise.
func (b *requestBody) rewind(req *http.Request) (*requestBody, error) {
	if b == nil || !b.used.Load() {
		return b, nil
	}
	b.close()
	if req.GetBody == nil {
		return nil, errCannotRewind
	}
	fresh, err := req.GetBody()
	if err == nil && fresh == nil {
		err = errNilBody
	}
	if err != nil {
		return nil, err
	}
	return &requestBody{ReadCloser: fresh}, nil
}

// renew returns the body that the caller means. Where a request is simply sent again its body, if that is in memory, has been read to its
// end, and there is another by GetBody: http.Transport gets it where the connection served before, and fails on a new one.
func (b *requestBody) renew(req *http.Request) (*requestBody, error) {
	if b == nil || req.ContentLength <= 0 || req.GetBody == nil || !http1.IsUsedUp(b) {
		return b, nil
	}
	b.used.Store(true)
	return b.rewind(req)
}

var (
	errCannotRewind = errors.New("transport: cannot send the request body again: Request.GetBody is nil")
	errNilBody      = errors.New("transport: cannot send the request body again: Request.GetBody returned neither a body nor an error")
)

// sendsChunked reports whether the body has a trailer section behind it.
func sendsChunked(req *http.Request) bool {
	return outgoingLength(req) < 0 || len(req.TransferEncoding) > 0 && req.TransferEncoding[0] == "chunked"
}

// outgoingLength returns the length of the request's body, -1 if unknown.
func outgoingLength(req *http.Request) int64 {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return 0
	case req.ContentLength != 0:
		return req.ContentLength
	}
	return -1
}

// hostOf returns the value of the Host field (RFC 9112 section 3.2): Request.Host or the URL's, in ASCII and without
// an IPv6 zone. A value that could not stand there is sent empty, which is valid, and not cut down to what could:
// that would be another host's name.
func hostOf(req *http.Request, viaProxy bool) (string, error) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil {
		return "", fmt.Errorf("transport: invalid host: %w", err)
	}
	if !httpguts.ValidHostHeader(host) {
		if viaProxy {
			return "", errors.New("transport: invalid Host for a request to a proxy: check Request.Host")
		}
		host = ""
	}
	return removeZone(host), nil
}

// removeZone takes the zone from an IPv6 literal: it means something on this machine only (RFC 6874 section 4).
func removeZone(host string) string {
	if !strings.HasPrefix(host, "[") {
		return host
	}
	end := strings.LastIndex(host, "]")
	if end < 0 {
		return host
	}
	if zone := strings.LastIndex(host[:end], "%"); zone >= 0 {
		return host[:zone] + host[end:]
	}
	return host
}

// targetOf returns the request-target (RFC 9112 section 3.2): origin form, absolute form to an HTTP proxy, authority
// form for CONNECT. A space, which would end it, is escaped: the query of a URL may hold one, as url.Parse leaves it there.
func targetOf(req *http.Request, host string, viaProxy bool) (string, error) {
	u := req.URL
	target := u.RequestURI()
	switch {
	case viaProxy && u.Scheme != "" && u.Opaque == "":
		target = u.Scheme + "://" + host + target
	case req.Method == http.MethodConnect && u.Path == "":
		target = host
		if u.Opaque != "" {
			target = u.Opaque
		}
	}
	if hasControl(target) {
		return "", errors.New("transport: control character in the request target: check Request.URL")
	}
	if strings.IndexByte(target, ' ') >= 0 {
		if req.Method == http.MethodConnect {
			return "", errors.New("transport: space in the target of a CONNECT: check Request.URL")
		}
		target = strings.ReplaceAll(target, " ", "%20")
	}
	return target, nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// asciiHost returns the URL's host name in ASCII (RFC 5891), or as it is where it has no such form.
func asciiHost(u *url.URL) string {
	name := u.Hostname()
	for i := range len(name) {
		if name[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(name); err == nil {
				return a
			}
			break
		}
	}
	return name
}
