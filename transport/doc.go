// Package transport is a drop-in replacement for [net/http.Transport] that cannot leak connections.
//
//	client := &http.Client{Transport: transport.New()}
//
// # What it does about leaks
//
// A response whose body has wholly arrived with its head is detached: its connection is back in the pool before RoundTrip returns, whether
// or not anybody ever reads or closes the body. A small body whose rest arrives later is detached as soon as it has arrived. Any other
// body that is still coming has a guard, which ends the connection's lease at the body's end, on Close, on an error or a cancellation,
// and when the garbage collector finds that the caller dropped the body. An idle connection is watched for its peer's hang-up and
// closed at once, so that no socket stays in CLOSE_WAIT.
//
// Package leaktest names, in a program's own tests, the lines that forgot to close a body.
//
// The ways in which a connection may leak, and what ends each:
//
//	 1  a body that has arrived is never closed       it holds nothing
//	 2  a body is dropped, unread or half read        the collector finds it: closed, and reported
//	 3  a body is kept and not read                   reported after 5 minutes; taken when its connection is needed, or after
//	                                                  LeakTimeout
//	 4  the server hangs up behind an open body       absorbed into memory, and closed at once; if it is more than
//	                                                  MaxAbsorbBytes, the socket waits for the reader
//	 5  the server hangs up on an idle connection     the reaper closes it, at once
//	 6  bytes that nobody asked for                   seen before the next request: closed
//	 7  session tickets and key updates while idle    read, not taken for 6; close_notify is a hang-up
//	 8  the server falls silent                       TCP keep-alive, UnackedTimeout, pings of HTTP/2
//	 9  Close with a little left                      drained, within MaxDrainBytes and DrainTimeout
//	10  a request is cancelled or times out           closed; kept if its response comes within SalvageTimeout
//	11  leaked bodies hold all of MaxConnsPerHost     a request that waits starts a collection; the error of AcquireTimeout
//	                                                  says who holds them
//	12  too many open files                           idle connections are closed, leaked bodies taken back; the dial is tried again
//	13  the server answers and stops reading          the upload ends with the exchange; the request's body is closed, once
//	14  an upgrade or a CONNECT is dropped            closed, and reported; a FIN of its peer alone does not end it
//	15  an HTTP/2 stream is dropped                   it is reset, and its part of the window is free again
//	16  the Transport is dropped without Close        its idle connections are closed; open bodies run on
//	17  Close of a connection hangs                   no request waits for it
//
// # One request
//
// RoundTrip checks the request, finds its route, and acquires a connection from the pool: an idle one, or whichever comes first, one that
// is released or one that has been dialed. The request is serialised into one buffer, and the response is read into the same. The exchange ends
// with the response's body. Then the connection returns to the pool if both sides keep it alive, unless the response began before all of
// a large head was written.
//
// An HTTP/1.1 connection that was idle is probed: no byte that arrived before is ever taken for a response. (On Windows, and if a
// dialer's connection is not the net package's own or has the dialer's TLS, a Read in the background takes the place of the
// probe; it sees bytes only once it has run, as in net/http.) What arrives between that probe and the end of the request's write, some
// microseconds later, no client of HTTP/1.1 can tell from a response. Over http the two are adjacent system calls if
// the request is written in one piece, that is with no body or one of a few KiB in memory, and if there is neither a trace nor a
// ResponseHeaderTimeout.
//
// A request's body that is not in memory is read in a goroutine of the transport: a panic of its Read or Close ends the process, as with
// [net/http.Transport]. A Read that returns neither bytes nor an error is repeated for as long as the exchange lasts.
//
// A request is sent again, on another connection, if the first one had served before and ended without a byte of a response; and if
// either nothing of the request was written or it may be repeated: its method is GET, HEAD, OPTIONS or TRACE, or its header has
// Idempotency-Key or X-Idempotency-Key. If its body was read from or closed meanwhile, GetBody must return another. These are the rules of
// [net/http.Transport]: PUT and DELETE, which RFC 9110 section 9.2.2 calls idempotent too, need one of these fields. See also
// RetryOnNewConns.
//
// # HTTP/2
//
// HTTP/2 is negotiated as by [net/http.Transport]. Over TLS it is on by default, unless a dialer, a TLS configuration or TLSNextProto is
// set and neither ForceAttemptHTTP2 nor Protocols says otherwise. Without TLS it is used if Protocols has UnencryptedHTTP2 and not HTTP1.
//
// A stream is a lease: the connection is idle when its last stream has ended. MaxConnsPerHost, IdleConnTimeout,
// MaxConnLifetime and Close are about connections, as over HTTP/1.1. Requests that arrive while the first connection to an origin is being
// dialed wait for it; for each 250 ms that this takes, one of them starts one more dial. If the origin turns out not to speak HTTP/2, each
// request has a dial of its own from then on. When the server allows no further stream on the existing connections, as many more as the
// waiting requests need are opened at once. With StrictMaxConcurrentRequests these requests wait for a stream instead, as they would under
// MaxConnsPerHost: AcquireTimeout bounds that wait, and leaked bodies give way.
//
// A body whose stream has ended holds no connection, read or not: what has arrived of it is in memory. One of up to 8 KiB that arrived
// with its head is detached. A larger one fills a part of the flow-control window that all streams of its connection share, until it is
// read, closed or dropped; after LeakTimeout, or 5 minutes, what is left of it is moved out of the window. If a body that is still
// coming is closed or leaked, or its request ends, the stream is reset, and the connection goes on.
//
// Any request is sent again, up to six times, if the server says by GOAWAY or REFUSED_STREAM that it did not process it: at once, then
// after about 1, 2, 4, 8 and 16 seconds, as by [net/http.Transport]. One whose connection ends without such a word is sent again by the rules
// of HTTP/1.1.
//
// Some servers take only so many requests on a connection, such as nginx with its keepalive_requests, and end it with a GOAWAY. If that left
// requests behind after the same number on two connections in a row, the number is learned, and each connection that follows is replaced
// when it has carried as many: so no request is left behind again, which would be lost if its body cannot be had twice. A number below 8 is not
// believed, none is learned with MaxConnsPerHost, and it is forgotten when a connection carried as many without a GOAWAY.
//
// A connection that has streams and has brought no frame for 30 seconds is pinged, and closed if there is no answer within 15. While
// nothing but answers to pings comes, it is pinged again every 5 minutes, since servers punish clients that ping more often. With a positive
// HTTP2Config.SendPingTimeout, a ping is sent whenever nothing has come for so long, with streams or without; with a negative one, never.
// PingTimeout bounds the wait for an answer. Once a request was given up, PingTimeout also bounds each Write: if it passes, the server reads
// nothing, whatever it sends. Then the connection takes no more requests, and is closed when nobody waits for those that it has.
//
// Requests that begin together are written together: a goroutine of the connection lets others run before it writes, unless that
// takes more than 5 ms. Updates of the connection's flow-control window go out with the next frame, as long as the window has room for all
// that the open streams may bring. With HTTP2Config.WriteByteTimeout everything is written at once.
//
// The codec is golang.org/x/net/http2. Of it the methods NewClientConn, RoundTrip, CanTakeNewRequest, Ping and Close are used, and the
// WroteHeaders hook of httptrace. They do the same where x/net wraps net/http, from Go 1.27 on, and all tests pass with Go 1.27.1. There is one
// difference: errors of a connection, unlike those of a stream, cannot be recognised there, so that Stats may name another reason for its close.
//
// # Watching it
//
// Stats is a ledger that adds up, in total and for each origin: opened minus closed connections are those open, and each close has one
// reason and one side that closed first. It goes to expvar in one line. Diagnose says in plain words what the ledger tells, and which field to
// change. Connections and OpenBodies list each connection and each open body; WriteProfile writes the bodies for go tool pprof. Package
// statuspage shows it all. ObserveCloses tells of each connection that is closed: why, by whom first, and how old it was.
//
// # Logging
//
// If a request fails, its caller gets the error, and nothing is logged. There are three lines in the log, all to Logger, or [log/slog.Default]:
//
//	WARN   transport: response body was neither closed nor read to its end
//	       method, url, age, bytes_read, cause, opened_at, suppressed
//	       for a leak, if OnLeak is nil; for each origin at most one a minute for each stack, and 20 a minute in all; suppressed is how
//	       many were left out since the last line
//	ERROR  transport: OnLeak panicked
//	ERROR  transport: Close of a response body panicked
//	       panic, stack
//	       the second for a leaked body that is not ours: of a Guard's Base, or of TLSNextProto
//
// The url is that of RedactURL. Package auto logs a warning if it has nothing to install into. Besides, golang.org/x/net writes a line to
// package log for some frames that break the rules of HTTP/2, such as DATA in answer to a HEAD.
//
// # Concurrency
//
// A Transport is safe for concurrent use. Its goroutines, with owner and end:
//
//   - a dial: one per dial, owned by the pool; ends with the dial
//   - an upload: one per request whose body is not written with its head; ends with the exchange
//   - a read of the first byte of a request's body that may be empty, as that of a GET; ends with that Read
//   - a Close of a request's body while a Read of it goes on; ends with the Close
//   - a wait for Request.Cancel, if the caller sets it and the exchange takes longer than 10 ms; ends with the exchange
//   - a drain that has to wait for bytes: ends within DrainTimeout
//   - a salvage: ends within SalvageTimeout
//   - an absorption, and over HTTP/2 one of a body whose stream has ended: ends when what has arrived is in memory, but not
//     before the request's body is sent
//   - a wait for the rest of a small body: ends when that has arrived and the request is sent, or somebody reads or closes it
//   - a read on an idle connection that the reaper cannot watch: ends with the next exchange, or the connection
//   - a close: one per connection that the pool closes; ends with the close, as do those of a dial which gives up idle connections, and of
//     a request that ends on a caller's connection
//   - a reader and a writer: one each per HTTP/2 connection, end with it
//   - a stream: one per exchange on it, ends when the stream has
//   - a ping: while an answer is awaited
//   - a reset: one per body of HTTP/2 that is closed early, or whose request ends while its upload waits; ends when the reset is written
//   - a nudge: tells the HTTP/2 codec that the server allows more streams while requests wait; ends when that is done
//   - a reclaim: one per leaked body; ends when the leak is reported
//   - a look for forgotten bodies, or for what holds up requests that wait, by a timer; ends with the look, which may be a garbage collection
//   - the end of a Transport that was dropped; ends when its idle connections are closed
//   - the reaper's: one while there are sockets to watch
//
// After Close, and once the open bodies have ended, none is left.
package transport
