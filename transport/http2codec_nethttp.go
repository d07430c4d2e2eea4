//go:build go1.27 && !http2legacy

package transport

// codecIsNetHTTP tells whose codec x/net's connections have: that of net/http here, which is of another age.
const codecIsNetHTTP = true
