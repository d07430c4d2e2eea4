package transport

import (
	"errors"
	"net/http/httptrace"
)

// errNotKept is what httptrace's PutIdleConn is told of a connection that did not return to the pool.
var errNotKept = errors.New("transport: connection not kept")

func putIdle(trace *httptrace.ClientTrace, err error) {
	if trace != nil && trace.PutIdleConn != nil {
		trace.PutIdleConn(err)
	}
}
