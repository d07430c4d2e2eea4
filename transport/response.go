package transport

import (
	"maps"
	"net/http"
	"strings"

	"github.com/watertight-go/watertight/internal/http1"
	"github.com/watertight-go/watertight/pool"
)

// respond makes the response of an exchange whose head was read into d, and decides who ends its lease: nobody has to
// where the body is here already.
func (hc *http1Conn) respond(a *attempt, l pool.Lease[route, conn], d *detachedResponse, askedGzip bool) (*http.Response, error) {
	resp := &d.Response
	resp.Request = a.req
	resp.TLS = hc.tlsState()
	hc.promised = keepAliveTimeout(resp.Header)
	if http1.SwitchesProtocol(resp) || a.req.Method == http.MethodConnect && resp.StatusCode/100 == 2 {
		return hc.upgrade(a, l, resp)
	}
	unzip := askedGzip && hc.h.Framing() != http1.NoBody && unzips(resp)
	buf, whole, ok := hc.h.Detach()
	for !ok && hc.takeArrived() {
		buf, whole, ok = hc.h.Detach()
	}
	if !ok {
		return hc.account.core.guard(hc, a, l, resp, unzip), nil
	}
	trailer := hc.h.Trailer()
	hc.release(l, a.trace)
	if buf == nil {
		resp.Body = http.NoBody
		return resp, nil
	}
	d.body.resp, d.body.buf, d.body.rest, d.body.trailer = resp, buf, whole, trailer
	resp.Body = &d.body
	if unzip {
		resp.Body = &unzipped{src: &d.body}
	}
	return resp, nil
}

// unzips reports whether the body that comes, which we asked for as gzip, is that. Then the response is what its caller sees: decompressed,
// of unknown length.
func unzips(resp *http.Response) bool {
	if !strings.EqualFold(first(resp.Header, "Content-Encoding"), "gzip") {
		return false
	}
	delete(resp.Header, "Content-Encoding")
	delete(resp.Header, "Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	return true
}

// fillTrailer completes resp.Trailer at the end of its body (RFC 9110 section 6.5): the declared fields get their
// values, others are added.
func fillTrailer(resp *http.Response, trailer http.Header) {
	if trailer == nil {
		return
	}
	dropFraming(trailer)
	if resp.Trailer == nil {
		resp.Trailer = trailer
		return
	}
	for name, values := range trailer {
		resp.Trailer[name] = values
	}
}

// dropConnectionFields takes out of a response over HTTP/2 what belongs to a connection (RFC 9113 section 8.2.2), and a length that is none: who
// sends it on over HTTP/1.1 would frame it by them. x/net's codec does so itself.
func dropConnectionFields(resp *http.Response) {
	if !codecIsNetHTTP {
		return
	}
	for _, name := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
		delete(resp.Header, name)
	}
	if resp.ContentLength < 0 {
		delete(resp.Header, "Content-Length")
	}
}

// dropFraming takes out of a trailer section what delimits messages and must not be there (RFC 9110 section 6.5.1): who sends it on over
// HTTP/1.1 would say what it says.
func dropFraming(trailer http.Header) {
	maps.DeleteFunc(trailer, func(name string, _ []string) bool { return http1.FramesMessage(name) })
}
