package transport

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/watertight-go/watertight/internal/known/http2"
)

// Install makes t send its requests through a new Transport with t's settings, which it returns. It is for code that
// insists on the concrete type, and for [http.DefaultTransport]. Fields of either may be set until the first request; if a field that
// both have was set in both, ours counts.
//
// Install must be called once, and before t's first request and its first Clone, since both set up HTTP/2 in t. If net/http can tell that
// this was not so, or t is nil, Install returns an error, and t is as it was. (If t does not attempt HTTP/2, net/http cannot tell that it was
// used: then Install succeeds, but CloseIdleConnections of t does not reach ours.)
//
// These are net/http's own rules: CloseIdleConnections of t closes our idle connections, but CancelRequest of t does not cancel our requests;
// t.Clone returns a transport without ours; the Request of a response to a request with a body is net/http's copy of the caller's; and
// requests for "https" that upgrade to a WebSocket bypass ours.
func Install(t *http.Transport) (*Transport, error) {
	if t == nil {
		return nil, errors.New("transport: Install of a nil *http.Transport")
	}
	// t.Clone would set up HTTP/2 in t, which takes the place that we want; so the fields are read, and copied from
	// ours.
	own := fieldsOf(t).Clone()
	own.installed = newInstallation(t, own)
	// No registration can be undone, and one for "https" keeps t from HTTP/2: it comes last, and the other can decline.
	plain := &withdrawable{}
	plain.rt.Store(own)
	if err := registerScheme(t, "http", &http2.Transport{RoundTripper: plain}); err != nil {
		return nil, err
	}
	if err := registerScheme(t, "https", installed{own}); err != nil {
		plain.rt.Store(nil)
		return nil, err
	}
	return own, nil
}

// installed is how ours is registered for "https". net/http looks for a struct with one exported field that can close
// idle connections: it then leaves HTTP/2 to that and forwards CloseIdleConnections to it.
type installed struct{ Transport *Transport }

func (i installed) RoundTrip(req *http.Request) (*http.Response, error) {
	return i.Transport.RoundTrip(req)
}

// A withdrawable is how ours is registered for "http". Without a Transport it leaves the requests to net/http.
type withdrawable struct{ rt atomic.Pointer[Transport] }

func (w *withdrawable) RoundTrip(req *http.Request) (*http.Response, error) {
	if t := w.rt.Load(); t != nil {
		return t.RoundTrip(req)
	}
	return nil, http.ErrSkipAltProtocol
}

// registerScheme registers rt for one scheme. net/http panics where one is registered.
func registerScheme(t *http.Transport, scheme string, rt http.RoundTripper) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transport: Install: %v: install before the transport's first request and Clone, and once", p)
		}
	}()
	t.RegisterProtocol(scheme, rt)
	return nil
}
