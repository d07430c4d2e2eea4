// Package reaper tells when the peer of an idle connection is gone.
//
// A connection that nobody reads from does not notice that its peer hung up: the socket stays in CLOSE_WAIT, holding
// a descriptor, until somebody tries to use it and fails. A [Reaper] watches such sockets and tells the moment a
// FIN or a reset arrives, at no cost until then: there is no goroutine per connection, nothing ticks, and bytes that
// arrive wake nobody. [Probe] looks at one socket at the moment it is asked, without taking anything out; it alone
// sees bytes that nobody asked for.
//
// A pool of connections needs both: a watch for as long as a connection is open, so that it is closed when its peer
// hangs up, and a probe before each use, so that what an earlier use left behind is not taken for an answer. The
// package knows nothing of pools or protocols, and needs nothing but the standard library.
//
// # Using it
//
// Whatever keeps a connection has a [Watch] as one of its fields, and is the watch's [Owner], which is told of the hang-up. Begin the
// watch when the owner is ready to be told, since that may happen before [Reaper.Watch] has returned. Ask [Watch.Err] before each use. Call
// [Watch.Stop] after closing the connection, or before handing it to somebody else:
//
//	type conn struct {
//		net.Conn
//		watch reaper.Watch
//		pool  *pool
//	}
//
//	func (c *conn) HungUp(error) { c.pool.Retire(c) }
//
//	err := r.Watch(&c.watch, c.Conn, c)
//	...
//	c.Close()
//	c.watch.Stop()
//
// If a watch is not possible, a connection works without one. A connection that lives on after Stop stays in the kernel's list until it
// is closed or the Reaper's last watch is over, and may wake the Reaper for nothing when its peer hangs up.
//
// A Watch has 40 bytes. For each the Reaper keeps about 8 more, on macOS and the BSDs about 40, besides what the kernel keeps.
//
// # What each system can do
//
//	system                  Watch                                        Probe
//	Linux                   epoll; the goroutine holds no thread         yes
//	macOS and the BSDs      kqueue; the goroutine holds one thread       yes
//	other Unix              no                                           yes, but not on AIX
//	Windows, Plan 9, Wasm   no                                           no
//
// If the answer is no, and for connections without a descriptor, such as those through an SSH tunnel or in memory,
// the error wraps [errors.ErrUnsupported]. A connection has a descriptor if it implements [syscall.Conn], or has a
// method NetConn, as [crypto/tls.Conn] has, that leads to one that does. A struct in which a [net.Conn] is embedded, like the one
// above, has neither: pass the embedded connection. TCP and Unix sockets behave alike, if they are streams. Datagrams have no end: a
// watch of UDP tells nothing, and a probe takes an empty datagram for a FIN, and the answer that nobody listens for a reset.
//
// While something is watched, a Reaper holds one descriptor on Linux, and four on macOS and the BSDs.
//
// # What counts as gone
//
// A half-close counts as a hang-up, since the system cannot tell it from a close: do not close at [ErrHangup] in a protocol in which
// the peer goes on reading after its FIN. What is done on this side is no hang-up: neither
// Close, nor CloseWrite, nor the peer's acknowledgement of either. There is one exception: a CloseRead on this side
// looks like the peer's FIN.
//
// A peer that vanishes without a word is not noticed. The system finds out by keep-alive probes, or by an answer that
// is missing for TCP_USER_TIMEOUT, and then it is a reset.
//
// # Concurrency
//
// A Reaper has one goroutine, which begins with the first watch and ends when the last watch is over, by Stop or by a hang-up.
// It tells owners one after the other, with no lock held. If the Reaper is dropped, the
// goroutine and the watches end after the next garbage collection: the goroutine keeps the watches and their owners alive, but not the
// Reaper. So keep the Reaper for as long as you want to be told, as a field of something that lives that long;
// an owner that refers to it keeps all watches on.
//
// If a hang-up and [Watch.Stop] come at the same time, the owner is either told or not, and [Watch.Err] says which, for good. Descriptors
// that are used again cause no confusion: an event is traced to its watch by a number that is
// never used again, and no descriptor is touched unless it is held open.
package reaper
