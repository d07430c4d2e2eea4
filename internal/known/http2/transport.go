// Package http2 has a type that http.Client takes for one that ends requests when their contexts end. HTTP/2 itself is
// in transport/http2conn.go.
//
// A request of an http.Client with a Timeout has a context with a deadline, which is all that a RoundTripper of today needs. To
// those that it does not know http.Client tells it once more in the way of Go 1.4, by closing Request.Cancel: from a goroutine and a
// second timer for each request. It knows the types of net/http, and by its name the Transport of golang.org/x/net/http2. Of
// another type with that name its source says that it does no harm where contexts are honoured, and that is so here. Where a later
// net/http asks for more than the name, requests are as dear as they were, and nothing else changes.
package http2

import "net/http"

// A Transport is a RoundTripper that ends requests when their contexts end.
type Transport struct{ http.RoundTripper }

// CloseIdleConnections closes those of the RoundTripper, if it can.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
