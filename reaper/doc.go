// Package reaper tells when the peer of an idle connection is gone.
//
// A connection that nobody reads from does not notice that its peer hung up: the socket stays in CLOSE_WAIT, holding
// a descriptor, until somebody tries to use it. A [Reaper] watches such sockets and calls back the moment a FIN or a
// reset arrives. [Probe] looks at one socket at the moment it is asked, without taking anything out.
//
// # What each system can do
//
//	system                  Watch                                  Probe
//	Linux                   epoll, one registration per socket     yes
//	macOS and the BSDs      kqueue, one registration per socket    yes
//	other Unix              no                                     yes
//	Windows and others      no                                     no
//
// Where there is no means, and for connections without a descriptor, such as those through an SSH tunnel or in memory, the
// error wraps [errors.ErrUnsupported]. Wrappers that have a NetConn method, such as tls.Conn, are looked through.
//
// A watch asks for hang-ups only: bytes that arrive wake nobody, so that a busy connection costs nothing beyond its
// registration. Bytes without a FIN are therefore for Probe to find.
//
// # Concurrency
//
// A Reaper has one goroutine, which begins with the first connection watched and ends with the last. On Linux it is
// parked in Go's own poller; on macOS and the BSDs it holds a thread that is blocked in kevent. Callbacks run in that
// goroutine, one at a time, with no lock held.
package reaper
