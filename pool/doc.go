// Package pool keeps connections of any kind and lends them out.
//
// A [Pool] is told how to dial. [Pool.Acquire] lends an idle connection, the one used last, or waits for whichever
// comes first: a connection that somebody releases, or a dial that is done. What it lends is a [Lease], which ends by
// [Lease.Release], [Lease.Discard] or [Lease.Hijack], once:
//
//	p := &pool.Pool[string, *conn]{Dial: dial, MaxConnsPerKey: 8, IdleTimeout: time.Minute}
//	...
//	lease, err := p.Acquire(ctx, "db.example:6379")
//	if err != nil {
//		return err
//	}
//	defer lease.Discard("exchange failed") // does nothing after Release
//	if err := exchange(ctx, lease.Conn()); err != nil {
//		return err
//	}
//	lease.Release()
//
// The pool closes connections that have been idle for too long, are too old or too many, and those that its user retires, for example
// because the peer is gone.
//
// The pool knows nothing of protocols. Its user has to find out whether an idle connection is still good: at the
// next lease, or by a watch that calls [Pool.Retire], such as that of the package reaper. Begin a watch in OnOpen, and end it in the
// connection's Close.
//
// # Waiting
//
// Acquires that wait are served in the order in which they came. Each has a dial in progress, as far as MaxConnsPerKey
// allows, but takes what comes first: the connection of its own dial, that of another's, or a released one. A dial that is left over
// serves the next Acquire that waits; if there is none, its connection becomes idle. As many such dials go on as MaxIdlePerKey allows; the
// others are cancelled. A left-over dial that is 250 ms old may lead nowhere: an Acquire that waits for it gets a dial of its own as well, as far
// as MaxConnsPerKey allows. If connections are shared, so are dials. With SingleUse, each Acquire waits only for its own dial.
//
// # Sharing
//
// A connection that carries several exchanges at once has several leases at once: the fields Admit and Shared, and [Pool.Wake], say when and
// how many. While it has any, it is neither idle nor evicted. Discard a lease of it only if the connection itself is of no use any more; if
// merely the exchange failed, Release it.
//
// Until there is a connection nobody knows how many leases it will admit, nor whether the peer is there: one dial serves all who wait.
// When all connections are full, the leases on them show how many more connections are needed, and these are dialed at once; with
// OneShared the Acquires wait instead. A dial that is 250 ms old may lead nowhere: if none of the dials is younger, one more begins. When a dial
// fails, an equal share of those who wait for dials get its error, and the others go on waiting for the other dials: so a peer that is gone is
// not dialed again and again.
//
// # Concurrency
//
// One lock guards a pool. It is held for moments, and never while something is called that may block or call back:
// dials, closes and the callbacks run without it. Its goroutines:
//
//   - a dial: one per dial, ends when Dial and OnOpen have returned; Close cancels it and waits for it
//   - a close: one per connection that is closed, ends with it; only Close, Shutdown, CloseIdle and CloseOldestIdle wait
//
// One timer is set for the first deadline of an idle connection, or, if a shared one may be waited for, of any connection. It stays set when that
// connection is leased, and then fires at most once more while nothing is idle. A dial for which an Acquire waits that did not begin it has a
// timer until it is 250 ms old, and so has each Acquire that waits with a WaitTimeout. After Close nothing is left but the leases that are out,
// and perhaps such a timer of a dial for the rest of its 250 ms.
package pool
