// Package pool keeps connections of any kind and lends them out.
//
// A [Pool] is told how to dial. [Pool.Acquire] lends an idle connection, the one used last, or waits for whichever
// comes first: a connection that somebody releases, or a dial that is done. What it lends is a [Lease], which ends by
// [Lease.Release], [Lease.Discard] or [Lease.Hijack], once. The pool closes connections that were idle too long, that
// are too old, that are too many, and those that somebody retired because the peer is gone.
//
// The pool knows nothing of protocols. Whether an idle connection is still good is for its user to find out: at the
// next lease, or by a watch that calls [Pool.Retire], such as that of the package reaper.
//
// # Waiting
//
// Those who wait are served in the order in which they came. Each has a dial in progress, as far as MaxConnsPerKey
// allows, but takes what comes first: the connection of its own dial, of another's, or a released one. A dial that is left over
// serves the next one who waits; if there is nobody its connection becomes idle. As many such dials go on as MaxIdlePerKey allows, the
// others are cancelled. A left-over dial that is 250 ms old may lead nowhere: whoever waits for it gets a dial of its own as well, as far as
// MaxConnsPerKey allows. Where connections are shared, so are dials. With SingleUse each waits for its own dial only.
//
// # Sharing
//
// A connection that carries several exchanges at once is leased by several: [Pool.Wake] and the fields Admit and
// Shared say when and how many. While anybody leases it, it is neither idle nor evicted. To discard a lease of it is
// to say that the connection is broken; a lease that merely failed is released.
//
// Until there is a connection nobody knows how many leases it will admit, nor whether the peer is there: one dial serves all who wait.
// When all connections are full, the leases on them show how many more connections the waiting need, and these are dialed at once; with
// OneShared they wait instead. Where none of these dials is younger than 250 ms, as it may lead nowhere, one who waits for another's begins
// one more. When a dial fails, an equal share of those who wait for dials get its error, and the others go on waiting
// for the other dials: so a peer that is gone is not dialed again and again.
//
// # Concurrency
//
// One lock guards a pool. It is held for moments, and never while something is called that may block or call back:
// dials, closes and the callbacks run without it. Its goroutines:
//
//   - a dial: one per dial, ends when Dial and OnOpen have returned; Close cancels it and waits for it
//   - a close: one per connection that is closed, ends with it; only Close, Shutdown, CloseIdle and CloseOldestIdle wait
//
// One timer is set for the first deadline of an idle connection or, where others may wait for a shared one, of any. It stays set when that
// connection is leased, and then fires at most once more while nothing is idle. A dial that somebody waits for who did not begin it has a timer
// until it is 250 ms old, and whoever waits with a WaitTimeout has one as well. After Close nothing is left but the leases that are out, and
// such a timer of a dial for what is left of its 250 ms.
package pool
