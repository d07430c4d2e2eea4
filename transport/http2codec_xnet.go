//go:build !go1.27 || http2legacy

package transport

// codecIsNetHTTP tells whose codec x/net's connections have: their own here.
const codecIsNetHTTP = false
