package transport

import (
	"errors"
	"fmt"
	"net/http"
)

// Install makes t send its requests through a new Transport with t's settings, which it returns. It is for code that insists
// on the concrete type, and for [http.DefaultTransport]. It is to be called before t's first request, and once: the
// error says so otherwise, and t is as it was. CloseIdleConnections of t closes ours; t.Clone returns
// a transport without ours. Requests for "https" that upgrade to a WebSocket go past ours, by net/http's own rule.
func Install(t *http.Transport) (*Transport, error) {
	if t == nil {
		return nil, errors.New("transport: Install of a nil *http.Transport")
	}
	// t.Clone would set up HTTP/2 in t, which takes the place that we want; so the fields are read, and copied from ours.
	own := fieldsOf(t).Clone()
	rt := installed{own}
	if err := registerScheme(t, "https", rt); err != nil {
		return nil, err
	}
	if err := registerScheme(t, "http", rt); err != nil {
		return nil, err
	}
	return own, nil
}

// installed is how ours is registered. net/http looks for a struct with one exported field that can close idle
// connections: it then leaves HTTP/2 to that and forwards CloseIdleConnections to it.
type installed struct{ Transport *Transport }

func (i installed) RoundTrip(req *http.Request) (*http.Response, error) {
	return i.Transport.RoundTrip(req)
}

// registerScheme registers rt for one scheme. net/http panics where one is registered.
func registerScheme(t *http.Transport, scheme string, rt http.RoundTripper) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transport: Install: %v: install before the transport's first request, and once", p)
		}
	}()
	t.RegisterProtocol(scheme, rt)
	return nil
}
