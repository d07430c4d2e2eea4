// Package transport is a drop-in replacement for [net/http.Transport] that cannot leak connections.
//
//	client := &http.Client{Transport: transport.New()}
//
// # What it does about leaks
//
// A response whose body has wholly arrived with its head is detached: its connection is back in the pool before
// RoundTrip returns, whether or not anybody ever reads or closes the body; so is a small one whose rest arrives later, as soon as it
// has. A body that is still coming has a guard,
// which ends the connection's lease at the body's end, on Close, on an error or a cancellation, and when the garbage
// collector finds that the caller dropped the body. An idle connection is watched for its peer's hang-up and closed at
// once, so that no socket stays in CLOSE_WAIT.
//
// In a program's tests, package leaktest names the lines that forgot to close a body.
//
// How a connection leaks, or might, and what ends it:
//
//	 1  a body that has arrived is never closed       it holds nothing
//	 2  a body is dropped, unread or half read        the collector finds it: closed, and reported
//	 3  a body is kept and not read                   reported after 5 minutes; taken when its connection is needed, or after
//	                                                  LeakTimeout
//	 4  the server hangs up behind an open body       absorbed into memory, and closed at once; more than MaxAbsorbBytes waits
//	 5  the server hangs up on an idle connection     the reaper closes it, at once
//	 6  bytes that nobody asked for                   seen before the next request: closed
//	 7  session tickets and key updates while idle    read, not taken for the above; close_notify is a hang-up
//	 8  the server falls silent                       TCP keep-alive, UnackedTimeout, pings of HTTP/2
//	 9  Close with a little left                      drained, within MaxDrainBytes and DrainTimeout
//	10  a request is cancelled or times out           closed; kept if its response comes within SalvageTimeout
//	11  leaked bodies hold all of MaxConnsPerHost     a request that waits has the collector run; AcquireTimeout says who holds them
//	12  too many open files                           idle connections and leaked bodies give way; the dial is tried again
//	13  the server answers and stops reading          the upload ends with the exchange, its body is closed once
//	14  an upgrade or a CONNECT is dropped            closed, and reported; its peer's FIN alone is no leak
//	15  an HTTP/2 stream is dropped                   it is reset, and its part of the window is free
//	16  the Transport is dropped without Close        its idle connections are closed; open bodies run on
//	17  Close of a connection hangs                   no request waits for it
//
// # One request
//
// RoundTrip checks the request, finds its route, and acquires a connection from the pool: an idle one, or the first of a released
// one and a finished dial. A connection of HTTP/1.1 that was idle is probed: no byte that arrived before is ever taken for a
// response. (On Windows, and on connections of a dialer that are not the net package's own or have TLS of the dialer's, a Read in
// the background takes the place of the probe, and sees bytes once it has run, as in net/http.) No client of HTTP/1.1 can tell
// from a response what arrives between that probe and the end of the request's write, some microseconds later. Over http the
// probe is part of the write, and nothing but two system calls is left of that time, for a request that is written in one piece,
// with no body or one of a few KiB in memory, if it has no trace and there is no ResponseHeaderTimeout. The request is serialised
// into one buffer, and the response read into the same. The exchange ends with the response's body. Then the connection returns
// to the pool if both sides keep it alive, unless the response began before all of a large head was written.
//
// A request's body that is not in memory is read in a goroutine of the transport's: a panic of its Read or Close ends the process, as with
// [net/http.Transport]. A Read that returns neither bytes nor an error is repeated as long as the exchange lasts.
//
// A request is sent again, on another connection, if the first one had served before and ended without a byte of a response; and if
// either nothing of the request was written or it may be repeated: its method is GET, HEAD, OPTIONS or TRACE, or its header has
// Idempotency-Key or X-Idempotency-Key. If its body was read from or closed meanwhile, GetBody must return another. These are the rules of
// [net/http.Transport]: PUT and DELETE, which RFC 9110 section 9.2.2 calls idempotent too, need the field. RetryOnNewConns says more.
//
// # HTTP/2
//
// HTTP/2 is negotiated as by [net/http.Transport]: over TLS by default, unless a dialer, a TLS configuration or TLSNextProto is the
// caller's and neither ForceAttemptHTTP2 nor Protocols says otherwise; without TLS where Protocols has UnencryptedHTTP2 and not HTTP1.
// A stream is a lease: the connection is idle when its last stream has ended, and MaxConnsPerHost, IdleConnTimeout,
// MaxConnLifetime and Close are about connections as ever. Requests that come while the first connection to an origin is being dialed wait
// for it, and one of them dials as well for each 250 ms that it takes; if it turns out not to speak HTTP/2, each request has a dial of its
// own from then on. When the server allows no further stream
// on the connections that there are, as many more as the waiting requests need are opened at once. With StrictMaxConcurrentRequests
// these requests wait for a stream instead, as they would under MaxConnsPerHost: AcquireTimeout bounds that wait, and leaked bodies give way.
//
// A body whose stream has ended holds no connection, read or not: what has arrived of it is in memory. One of up to 8 KiB that arrived
// with its head is detached. A larger one fills a part of the flow-control window that all streams of its connection share until it is
// read, closed or dropped; after LeakTimeout, or 5 minutes, what is left of it is moved out of the window. Close of a body that is still
// coming, the end of its request and a leak reset the stream, and the connection goes on.
//
// Any request is sent again if the server says, by GOAWAY or REFUSED_STREAM, that it did not process it, up to six times; one whose
// connection ends without such a word is sent again by the rules of HTTP/1.1.
//
// A connection that has streams and brought no frame for 30 seconds is pinged, and closed if there is no answer within 15. As long as
// nothing but answers to pings comes it is pinged again every 5 minutes, as servers punish those who ping more often. A positive
// HTTP2Config.SendPingTimeout pings whenever nothing came for so long, with streams or without; a negative one never does. PingTimeout is
// the wait for an answer. Once a request was given up, it is also how long a Write may take: then the server reads nothing, whatever it
// sends, and the connection takes no more requests and is closed when nobody waits for those that it has.
//
// Requests that begin together are written together: a goroutine of the connection lets others run before it writes, unless that
// takes more than 5 ms. Updates of the connection's flow-control window go out with the next frame, as long as the window has room for all
// that the open streams may bring. With HTTP2Config.WriteByteTimeout everything is written at once.
//
// The codec is golang.org/x/net/http2. What is used of it, the methods NewClientConn, RoundTrip, CanTakeNewRequest, Ping and Close and the
// WroteHeaders of httptrace, does the same where x/net wraps net/http, from Go 1.27 on, and all tests pass with Go 1.27.1. There is one
// difference: errors of a connection, unlike those of a stream, cannot be recognised there, so that Stats may name another reason for its close.
//
// # Watching it
//
// Stats is a ledger that adds up, in all and for each origin: connections opened less those closed are those open, and each close has one
// reason and one side that was first. It goes to expvar in one line. Diagnose says in plain words what the ledger tells, with the field to
// change. Connections and OpenBodies tell of each one; WriteProfile writes the latter for go tool pprof. Package statuspage shows
// it all. ObserveCloses tells of each connection that is closed: why, by whom first, and how old it was.
//
// # Logging
//
// What goes wrong with a request is its caller's error and is not logged. There are three lines, all to Logger, or [log/slog.Default]:
//
//	WARN   transport: response body was neither closed nor read to its end
//	       method, url, age, bytes_read, cause, opened_at, suppressed
//	       for a leak where there is no OnLeak; of an origin once a minute for each stack, and 20 in all; suppressed is how many
//	       were left out since the last line
//	ERROR  transport: OnLeak panicked
//	ERROR  transport: Close of a response body panicked
//	       panic, stack
//	       the second for a leaked body of somebody else: of a Guard's Base, or of TLSNextProto
//
// The url is that of RedactURL. Package auto warns where it has nothing to install into. Besides, golang.org/x/net writes a line to
// package log for some frames that break the rules of HTTP/2, such as DATA where there is none to come.
//
// # Concurrency
//
// A Transport is safe for concurrent use. Its goroutines, with owner and end:
//
//   - a dial: one per dial, owned by the pool; ends with the dial
//   - an upload: one per request whose body is not written with its head; ends with the exchange
//   - a read of the first byte of a request's body that may be empty, as that of a GET; ends with that Read
//   - a Close of a request's body where that meets a Read that goes on; ends with the Close
//   - a wait for Request.Cancel, where the caller sets it and the exchange lasts for 10 ms; ends with that
//   - a drain that has to wait for bytes: ends within DrainTimeout
//   - a salvage: ends within SalvageTimeout
//   - an absorption, and over HTTP/2 one of a body whose stream has ended: ends when what has arrived is in memory; where the request's
//     body is still being sent, after that
//   - a wait for the rest of a small body: ends when that has arrived, or somebody reads or closes it
//   - a read on an idle connection that the reaper cannot watch: ends with the next exchange, or the connection
//   - a close: one per connection that the pool closes; ends with the close, as does that of a dial which gives up idle connections
//   - a reader and a writer: one each per HTTP/2 connection, end with it
//   - a stream: one per exchange on it, ends when the stream has
//   - a ping: while an answer is awaited
//   - a reset: one per body of HTTP/2 that is closed early, or whose request ends while its upload waits; ends when that is written
//   - one that tells HTTP/2 that its server allows more streams while requests wait; ends when that is done
//   - a reclaim: one per leaked body; ends when the leak is reported
//   - a look for forgotten bodies, or for what holds up requests that wait, by a timer; ends with the look, which may be a garbage collection
//   - the end of a Transport that was dropped; ends when its idle connections are closed
//   - the reaper's: one while there are sockets to watch
//
// After Close, and once the open bodies have ended, none is left.
package transport
