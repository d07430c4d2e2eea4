package bench

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
)

// Certificate returns what the benchmarks' servers show, and the same as PEM for who is to trust them.
func Certificate() (certificates []tls.Certificate, block string) {
	certified := httptest.NewUnstartedServer(nil) // it has one
	certified.StartTLS()
	certified.Close()
	return certified.TLS.Certificates, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}))
}

// Trust returns a configuration that accepts a certificate of Certificate.
func Trust(block string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(block))
	return &tls.Config{RootCAs: roots, ServerName: "example.com"}
}
