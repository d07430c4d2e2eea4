// Package http1 carries HTTP/1.1 exchanges (RFC 9112) over a net.Conn. It knows nothing of pools, redirects or TLS.
//
// A [Conn] borrows one buffer per exchange: the request's head, and its body where that is in memory and small, are
// serialised into it and written at once; the response is read into the same bytes. If the whole response lies in the
// buffer, its body is detached with it, and the exchange can end before anybody reads. Otherwise the body is read
// straight into its reader's memory.
//
// # Concurrency
//
// An exchange runs in the goroutine of its caller. A request body that may block, or does not fit the buffer, is
// written by one goroutine more, which ends with the exchange. The first byte of a body that may be empty is read in one that
// ends with that Read, and a body in whose Read somebody is gets closed in one that ends with the Close. Between exchanges
// [Conn.Listen] has one, until its Read returns.
//
// A context is watched by context.AfterFunc, which aborts the exchange by a deadline in the past, or by a Close in a goroutine
// of its own where there are no deadlines. An aborted connection is not
// used again, unless [Conn.Orphan] allows it and [Conn.Resume] has awaited the abort's end.
package http1
