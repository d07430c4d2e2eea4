package transport

import (
	"errors"
	"net/http/httptrace"
)

// errNotKept is what httptrace's PutIdleConn is told of a connection that did not return to the pool.
var errNotKept = errors.New("transport: connection not kept")

func (hc *http1Conn) putIdle(trace *httptrace.ClientTrace, err error) {
	if trace != nil && trace.PutIdleConn != nil && !hc.account.core.settings.DisableKeepAlives {
		trace.PutIdleConn(err)
	}
}
