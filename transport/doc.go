// Package transport is a drop-in replacement for [net/http.Transport] that cannot leak connections.
//
//	client := &http.Client{Transport: transport.New()}
//
// # What it does about leaks
//
// A response whose body has wholly arrived with its head is detached: its connection is back in the pool before
// RoundTrip returns, whether or not anybody ever reads or closes the body. A body that is still coming has a guard,
// which ends the connection's lease at the body's end, on Close, on an error or a cancellation, and when the garbage
// collector finds that the caller dropped the body. An idle connection is watched for its peer's hang-up and closed at
// once, so that no socket stays in CLOSE_WAIT.
//
// # One request
//
// RoundTrip checks the request, finds its route, and acquires a connection from the pool: an idle one, or the first
// of a released one and a finished dial. A connection that was idle is probed: no byte that arrived before is ever
// taken for a response. The request is serialised into one buffer, the response read into the same. The exchange ends
// with the response's body, and the connection returns to the pool if both sides keep it alive.
//
// # Concurrency
//
// A Transport is safe for concurrent use. Its goroutines, with owner and end:
//
//   - a dial: one per dial, owned by the pool; ends with the dial
//   - an upload: one per request whose body is not written with its head; ends with the exchange
//   - a watch on Request.Cancel, where the caller sets it; ends with the exchange
//   - a drain that has to wait for bytes: ends within DrainTimeout
//   - a close: one per connection that the pool closes; ends with the close
//   - a reclaim: one per leaked body; ends when the leak is reported
//   - the reaper's: one while there are sockets to watch
//
// After Close, and once the open bodies have ended, none is left.
package transport
