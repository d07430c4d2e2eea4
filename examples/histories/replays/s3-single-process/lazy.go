package main

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// A lazyPool is a pool that looks at its connections only when it is asked for one, as that of the SDK for Ruby did. It is fasthttp's, which looks
// at them when their idle time is over; that is an hour here, and nobody waits so long.
type lazyPool struct{ client fasthttp.Client }

func newLazyPool() *lazyPool {
	return &lazyPool{fasthttp.Client{MaxIdleConnDuration: time.Hour, DisablePathNormalizing: true}}
}

// RoundTrip makes a request without a body.
func (p *lazyPool) RoundTrip(r *http.Request) (*http.Response, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(r.Method)
	req.SetRequestURI(r.URL.String())
	for name, values := range r.Header {
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	deadline, ok := r.Context().Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := p.client.DoDeadline(req, resp, deadline); err != nil {
		return nil, err
	}
	body := bytes.Clone(resp.Body())
	answer := &http.Response{
		StatusCode: resp.StatusCode(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)), Request: r,
	}
	resp.Header.VisitAll(func(name, value []byte) { answer.Header.Add(string(name), string(value)) })
	return answer, nil
}
