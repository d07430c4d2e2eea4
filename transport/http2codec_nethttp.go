//go:build go1.27 && !http2legacy

package transport

// codecIsNetHTTP tells whose codec x/net's connections have: here net/http's, which leaves some fields in a response that x/net's takes
// out.
const codecIsNetHTTP = true
