package transport

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// checkHTTP2 refuses a request that cannot be sent over HTTP/2 (RFC 9113 section 8.2). The codec refuses most of this as well, and quotes
// in its errors what may be secret; control characters in a query it sends.
func checkHTTP2(req *http.Request) error {
	if req.Method != http.MethodConnect {
		u := req.URL
		if hasControl(u.RawQuery) || hasControl(u.Opaque) {
			return errors.New("transport: control character in the request target: check Request.URL")
		}
		if (u.Opaque != "" || u.Path != "" && u.Path[0] != '/') && !isPath(u.RequestURI()) {
			host, err := hostOf(req, false)
			if err != nil {
				return err
			}
			if !isPath(strings.TrimPrefix(u.RequestURI(), u.Scheme+"://"+host)) {
				return errors.New("transport: the request target is not a path, which HTTP/2 requires: check Request.URL")
			}
		}
	}
	for _, name := range [...]string{"Connection", "Transfer-Encoding", "Upgrade"} {
		values := req.Header[name]
		if len(values) == 0 || len(values) == 1 && passesOverHTTP2(name, values[0]) {
			continue
		}
		return fmt.Errorf("transport: invalid %s field: HTTP/2 has none", name)
	}
	return nil
}

// passesOverHTTP2 reports whether a field that belongs to HTTP/1.1 says nothing that HTTP/2 would have to do: it is left out (RFC 9113
// section 8.2.2).
func passesOverHTTP2(name, value string) bool {
	if name == "Connection" {
		return value == "" || strings.EqualFold(value, "close") || strings.EqualFold(value, "keep-alive")
	}
	return value == "" || value == "chunked"
}

// gzipAlone is the fields of a request that has none, and asks for gzip. It is never changed.
var gzipAlone = http.Header{"Accept-Encoding": {"gzip"}}

// fields returns a copy of the request's fields, with that which asks for gzip if we do.
func (x *http2Exchange) fields(h http.Header) http.Header {
	if x.unzips && len(h) == 0 {
		return gzipAlone
	}
	h = maps.Clone(h)
	if x.unzips {
		h["Accept-Encoding"] = gzipAlone["Accept-Encoding"]
	}
	return h
}

// takesGzip reports whether we ask for gzip on the caller's behalf, as x/net would.
func takesGzip(req *http.Request) bool {
	return req.Method != http.MethodHead && len(req.Header["Accept-Encoding"]) == 0 && len(req.Header["Range"]) == 0
}

// isPath reports whether a request target may stand in :path.
func isPath(target string) bool { return strings.HasPrefix(target, "/") || target == "*" }
