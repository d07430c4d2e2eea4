package transport

import (
	"crypto/tls"
	"maps"
	"net/http"
	"reflect"
	"runtime"
	"strings"
)

// From returns a Transport with the settings of t, which must not be nil and works as before. It calls t.Clone, after which it is
// too late to [Install] into t. Protocols registered with t are not taken over, nor are settings of an http2.Transport of golang.org/x/net
// that configures t, such as its ReadIdleTimeout, which is HTTP2.SendPingTimeout here.
func From(t *http.Transport) *Transport {
	// Clone alone knows whether TLSNextProto was set by the caller or filled in by net/http.
	return fieldsOf(t.Clone())
}

// fieldsOf takes over the fields of t.
func fieldsOf(t *http.Transport) *Transport {
	own := &Transport{
		Proxy:                  t.Proxy,
		OnProxyConnectResponse: t.OnProxyConnectResponse,
		DialContext:            t.DialContext,
		Dial:                   t.Dial,
		DialTLSContext:         t.DialTLSContext,
		DialTLS:                t.DialTLS,
		TLSClientConfig:        t.TLSClientConfig,
		TLSHandshakeTimeout:    t.TLSHandshakeTimeout,
		DisableKeepAlives:      t.DisableKeepAlives,
		DisableCompression:     t.DisableCompression,
		MaxIdleConns:           t.MaxIdleConns,
		MaxIdleConnsPerHost:    t.MaxIdleConnsPerHost,
		MaxConnsPerHost:        t.MaxConnsPerHost,
		IdleConnTimeout:        t.IdleConnTimeout,
		ResponseHeaderTimeout:  t.ResponseHeaderTimeout,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		TLSNextProto:           t.TLSNextProto,
		ProxyConnectHeader:     t.ProxyConnectHeader,
		GetProxyConnectHeader:  t.GetProxyConnectHeader,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		WriteBufferSize:        t.WriteBufferSize,
		ReadBufferSize:         t.ReadBufferSize,
		ForceAttemptHTTP2:      t.ForceAttemptHTTP2,
		HTTP2:                  t.HTTP2,
		Protocols:              t.Protocols,
	}
	own.disown()
	return own
}

// disown takes out of TLSNextProto what net/http's own HTTP/2 has put there, or x/net's: HTTP/2 is ours to speak then.
func (t *Transport) disown() {
	if !isFilledIn(t.TLSNextProto) {
		return
	}
	t.TLSNextProto = maps.Clone(t.TLSNextProto)
	delete(t.TLSNextProto, "h2")
	delete(t.TLSNextProto, "unencrypted_http2")
	if t.Protocols == nil {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
}

// Clone returns a Transport with the same settings and its own connections. Maps and configurations that
// http.Transport.Clone copies are copied; a nil TLSNextProto stays nil. Registered protocols and observers of
// closes are not taken over.
func (t *Transport) Clone() *Transport {
	c := &Transport{
		Proxy:                  t.Proxy,
		OnProxyConnectResponse: t.OnProxyConnectResponse,
		DialContext:            t.DialContext,
		Dial:                   t.Dial,
		DialTLSContext:         t.DialTLSContext,
		DialTLS:                t.DialTLS,
		TLSHandshakeTimeout:    t.TLSHandshakeTimeout,
		DisableKeepAlives:      t.DisableKeepAlives,
		DisableCompression:     t.DisableCompression,
		MaxIdleConns:           t.MaxIdleConns,
		MaxIdleConnsPerHost:    t.MaxIdleConnsPerHost,
		MaxConnsPerHost:        t.MaxConnsPerHost,
		IdleConnTimeout:        t.IdleConnTimeout,
		ResponseHeaderTimeout:  t.ResponseHeaderTimeout,
		ExpectContinueTimeout:  t.ExpectContinueTimeout,
		TLSNextProto:           maps.Clone(t.TLSNextProto),
		ProxyConnectHeader:     t.ProxyConnectHeader.Clone(),
		GetProxyConnectHeader:  t.GetProxyConnectHeader,
		MaxResponseHeaderBytes: t.MaxResponseHeaderBytes,
		WriteBufferSize:        t.WriteBufferSize,
		ReadBufferSize:         t.ReadBufferSize,
		ForceAttemptHTTP2:      t.ForceAttemptHTTP2,

		AcquireTimeout:  t.AcquireTimeout,
		RetryOnNewConns: t.RetryOnNewConns,
		MaxConnLifetime: t.MaxConnLifetime,
		MaxDrainBytes:   t.MaxDrainBytes,
		DrainTimeout:    t.DrainTimeout,
		UnackedTimeout:  t.UnackedTimeout,
		SalvageTimeout:  t.SalvageTimeout,
		LeakTimeout:     t.LeakTimeout,
		MaxAbsorbBytes:  t.MaxAbsorbBytes,
		OnLeak:          t.OnLeak,
		RedactURL:       t.RedactURL,
		RecordStacks:    t.RecordStacks,
		Logger:          t.Logger,
	}
	if t.TLSClientConfig != nil {
		c.TLSClientConfig = t.TLSClientConfig.Clone()
	}
	if t.HTTP2 != nil {
		c.HTTP2 = new(http.HTTP2Config)
		*c.HTTP2 = *t.HTTP2
	}
	if t.Protocols != nil {
		c.Protocols = new(http.Protocols)
		*c.Protocols = *t.Protocols
	}
	if t.installed != nil {
		t.installed.settle(t, c)
	}
	return c
}

// isFilledIn reports whether protos names HTTP/2, and for a codec: those name it twice, and net/http's from Go 1.27 on is a function of
// that package.
func isFilledIn(protos map[string]func(string, *tls.Conn) http.RoundTripper) bool {
	f := protos["h2"]
	switch {
	case f == nil:
		return false
	case protos["unencrypted_http2"] != nil:
		return true
	}
	of := runtime.FuncForPC(reflect.ValueOf(f).Pointer())
	return of != nil && strings.HasPrefix(of.Name(), "net/http.")
}
