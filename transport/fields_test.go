package transport_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/watertight-go/watertight/transport"
)

// Every exported field of http.Transport is ours too, by name and type.
func TestFieldsOfHTTPTransport(t *testing.T) {
	std, own := reflect.TypeFor[http.Transport](), reflect.TypeFor[transport.Transport]()
	fields := 0
	for i := range std.NumField() {
		f := std.Field(i)
		if !f.IsExported() {
			continue
		}
		fields++
		if g, ok := own.FieldByName(f.Name); assert.True(t, ok, "field %s is missing", f.Name) {
			assert.Equal(t, f.Type, g.Type, "type of %s", f.Name)
		}
	}
	assert.Equal(t, 25, fields, "a Go version with other fields: take them over")
}

// filled returns an http.Transport without a zero field.
func filled(t *testing.T) *http.Transport {
	std := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error {
			return nil
		},
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		Dial:                   func(string, string) (net.Conn, error) { return nil, nil },
		DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		DialTLS:                func(string, string) (net.Conn, error) { return nil, nil },
		TLSClientConfig:        &tls.Config{ServerName: "a.example"},
		TLSHandshakeTimeout:    time.Second,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxIdleConns:           1,
		MaxIdleConnsPerHost:    2,
		MaxConnsPerHost:        3,
		IdleConnTimeout:        2 * time.Second,
		ResponseHeaderTimeout:  3 * time.Second,
		ExpectContinueTimeout:  4 * time.Second,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{"x": nil},
		ProxyConnectHeader:     http.Header{"A": {"b"}},
		GetProxyConnectHeader:  func(context.Context, *url.URL, string) (http.Header, error) { return nil, nil },
		MaxResponseHeaderBytes: 5,
		WriteBufferSize:        6,
		ReadBufferSize:         7,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{MaxConcurrentStreams: 8},
		Protocols:              new(http.Protocols),
	}
	std.Protocols.SetHTTP1(true)
	v := reflect.ValueOf(std).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			require.False(t, v.Field(i).IsZero(), "field %s is not filled", f.Name)
		}
	}
	return std
}

// From takes over each field; Clone does, too, and shares no map or configuration.
func TestFromAndCloneTakeEveryField(t *testing.T) {
	std := filled(t)
	own := transport.From(std)
	clone := own.Clone()
	for _, got := range []*transport.Transport{own, clone} {
		v := reflect.ValueOf(got).Elem()
		want := reflect.ValueOf(std).Elem()
		for i := range want.NumField() {
			f := want.Type().Field(i)
			if !f.IsExported() {
				continue
			}
			g := v.FieldByName(f.Name)
			switch f.Type.Kind() {
			case reflect.Func:
				assert.Equal(t, want.Field(i).Pointer(), g.Pointer(), f.Name)
			case reflect.Pointer, reflect.Map:
				assert.False(t, g.IsNil(), f.Name)
			default:
				assert.Equal(t, want.Field(i).Interface(), g.Interface(), f.Name)
			}
		}
	}
	assert.NotSame(t, own.TLSClientConfig, clone.TLSClientConfig)
	assert.NotSame(t, own.Protocols, clone.Protocols)
	assert.NotSame(t, own.HTTP2, clone.HTTP2)
	clone.ProxyConnectHeader.Set("A", "c")
	assert.Equal(t, "b", own.ProxyConnectHeader.Get("A"))
}

// A nil TLSNextProto stays nil, or HTTP/2 would be switched off by the copy.
func TestCloneKeepsNilTLSNextProto(t *testing.T) {
	assert.Nil(t, transport.New().Clone().TLSNextProto)
	assert.Nil(t, transport.From(http.DefaultTransport.(*http.Transport)).TLSNextProto)
}

// The own fields survive Clone as well.
func TestCloneTakesOwnFields(t *testing.T) {
	std := reflect.TypeFor[http.Transport]()
	tr := &transport.Transport{
		AcquireTimeout: 1, MaxConnLifetime: 2, MaxDrainBytes: 3, DrainTimeout: 4, MaxAbsorbBytes: 5, LeakTimeout: 6, SalvageTimeout: 7, UnackedTimeout: 8,
		OnLeak:       func(transport.Leak) {},
		RedactURL:    func(*url.URL) string { return "" },
		RecordStacks: true, RetryOnNewConns: true,
		Logger: discardLogger,
	}
	v, c := reflect.ValueOf(tr).Elem(), reflect.ValueOf(tr.Clone()).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if _, shared := std.FieldByName(f.Name); shared || !f.IsExported() {
			continue
		}
		require.False(t, v.Field(i).IsZero(), "field %s is not filled", f.Name)
		if f.Type.Kind() == reflect.Func {
			assert.Equal(t, v.Field(i).Pointer(), c.Field(i).Pointer(), f.Name)
		} else {
			assert.Equal(t, v.Field(i).Interface(), c.Field(i).Interface(), f.Name)
		}
	}
}

// New has the settings of http.DefaultTransport.
func TestNewIsLikeDefaultTransport(t *testing.T) {
	std := reflect.ValueOf(http.DefaultTransport.(*http.Transport).Clone()).Elem()
	own := reflect.ValueOf(transport.New()).Elem()
	for i := range std.NumField() {
		f := std.Type().Field(i)
		if !f.IsExported() || f.Name == "TLSClientConfig" || f.Name == "HTTP2" { // net/http fills them in for its HTTP/2
			continue
		}
		g := own.FieldByName(f.Name)
		if f.Type.Kind() == reflect.Func {
			assert.Equal(t, std.Field(i).IsNil(), g.IsNil(), f.Name)
		} else {
			assert.Equal(t, std.Field(i).Interface(), g.Interface(), f.Name)
		}
	}
}

// Of bounds and timeouts a negative one is none, over each protocol. (To net/http a negative TLSHandshakeTimeout is one that has
// passed, and over HTTP/2 so is a negative ResponseHeaderTimeout.)
func TestNegativeBoundsAreNone(t *testing.T) {
	ours(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, func(s *story) {
		s.ours.AcquireTimeout, s.ours.MaxConnLifetime, s.ours.DrainTimeout = -1, -1, -1
		for range 3 {
			req := s.request(http.MethodPost, "/", strings.NewReader("echo"))
			req.Header.Set("Expect", "100-continue")
			assert.Equal(s, "echo", s.read(s.send(req)))
		}
		s.wantDials(1)
	}, func(tr *http.Transport) {
		tr.TLSHandshakeTimeout, tr.IdleConnTimeout, tr.ResponseHeaderTimeout, tr.ExpectContinueTimeout = -1, -1, -1, -1
		tr.MaxConnsPerHost, tr.MaxResponseHeaderBytes = -1, -1
		tr.ReadBufferSize, tr.WriteBufferSize = -1, -1
	})
}

var discardLogger = slog.New(slog.DiscardHandler)
