// Package leaktest finds, in a program's own tests, the lines that forget to close a response's body. One line is enough:
//
//	func TestUsers(t *testing.T) {
//		client := api.New(leaktest.NewClient(t))
//		...
//	}
//
// When the test ends, each body that was handed out and is not finished fails it, with the line of the program that made the
// request:
//
//	leaktest: 1 response body leaked
//
//	GET http://127.0.0.1:34567/users, 0 of 117 bytes read, 2ms old
//		neither closed nor read to its end: small enough to cost no connection here; another client would have lost it
//		/home/me/api/client.go:31: api.(*Client).Users
//		/home/me/api/client_test.go:17: api.TestUsers
//
// A body is finished when it was closed, or read to its end or to another error. Responses without a body are not
// blamed, and it does not matter how fast or in which goroutine a body is read. The end of a request's context does not count as a
// Close. A body counts whether or not it held a connection: package transport frees those of small responses at once, net/http
// does not. Nor does the garbage collector make a difference, so the same program has the same report each time.
//
// # Which function
//
//   - [NewClient] and [NewTransport]: for code that takes a client; in parallel tests too
//   - [VerifyDefault]: for code that uses http.Get or http.DefaultClient
//   - [VerifyTestMain]: for a whole package, whatever Transports its code makes
//   - [VerifyNone] and [Find]: for a Transport at hand, at any time
//
// The last three can look at any [transport.Transport] of the process, because importing this package makes all of them
// keep a record from the start. That costs a stack per request, and bodies have another type: import it in tests only. Bodies of a
// [transport.Guard] are not seen; a body of a Transport that a Guard around it has closed counts as closed.
//
// # What else it looks at
//
// A check waits, for as long as [Grace] says, for a body that another goroutine may still be reading and for a request without a response;
// then it names them as open or in flight. After Close of a Transport none of its sockets may be open, for which the kernel is asked on
// Linux, and none of its goroutines may be left. Except for those that a dial started, goroutines can be assigned to a Transport only while
// no other Transport is at work; the check at the end of [VerifyTestMain] sees all. A program that uses package pool or reaper by itself is
// not blamed for their goroutines.
//
// URLs appear as Transport.RedactURL returns them: by default without user info, query or fragment. Headers and bodies never appear.
//
// # What is not here
//
// There is neither a network in memory nor a server that misbehaves. For a bubble of testing/synctest, a listener of twenty lines around
// net.Pipe will do, see the example; for a handler that misbehaves, use net/http/httptest with http.ErrAbortHandler or http.Hijacker.
package leaktest
