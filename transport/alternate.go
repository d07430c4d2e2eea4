package transport

import (
	"maps"
	"net/http"
)

// RegisterProtocol makes rt answer the requests of a scheme, as for [http.Transport.RegisterProtocol]. Where it
// returns [http.ErrSkipAltProtocol] the request is handled as if nothing were registered. It panics if the scheme is
// registered already.
func (t *Transport) RegisterProtocol(scheme string, rt http.RoundTripper) {
	t.altMu.Lock()
	defer t.altMu.Unlock()
	alts := map[string]http.RoundTripper{}
	if old := t.alternates.Load(); old != nil {
		alts = maps.Clone(*old)
	}
	if _, ok := alts[scheme]; ok {
		panic("transport: protocol " + scheme + " already registered")
	}
	alts[scheme] = rt
	t.alternates.Store(&alts)
}

// alternate returns who answers the request instead of us, or nil.
func (t *Transport) alternate(req *http.Request) http.RoundTripper {
	alts := t.alternates.Load()
	if alts == nil || req.URL.Scheme == "https" && wantsUpgrade(req) {
		return nil // an alternate for https speaks HTTP/2, which knows no upgrade
	}
	return (*alts)[req.URL.Scheme]
}

// tryAlternate lets rt answer. Where it declines with http.ErrSkipAltProtocol, body tells whether it was used.
func tryAlternate(rt http.RoundTripper, req *http.Request, body *requestBody) (*http.Response, error) {
	if body == nil {
		return rt.RoundTrip(req)
	}
	lent := *req
	lent.Body = body
	resp, err := rt.RoundTrip(&lent)
	if resp != nil && resp.Request == &lent {
		resp.Request = req
	}
	return resp, err
}
