// Package http2 has a type that http.Client takes for one that ends requests when their contexts end. HTTP/2 itself is
// in transport/http2conn.go.
//
// A request of an http.Client with a Timeout has a context with a deadline, which is all that a RoundTripper of today needs. If http.Client
// does not know the RoundTripper's type it also closes Request.Cancel, as in Go 1.4: that costs a goroutine and a second timer for each
// request. It knows the types of net/http and, by its name, the Transport of golang.org/x/net/http2. A comment in net/http says that another
// type of that name does no harm if it honours contexts, as this one does. If a later net/http asks for more than the name, requests cost as
// much as without this type, and nothing else changes.
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
