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
// allows, but takes what comes first: its own, another's, or a released connection. A dial that is left over serves the
// next one who waits, or nobody, and then its connection becomes idle; as many of these go on as MaxIdlePerKey says, the others are
// cancelled. One that is 250 ms old may lead nowhere: who waits for it has a dial of its own besides, as far as MaxConnsPerKey allows.
// Where connections are shared, so are dials.
//
// # Sharing
//
// A connection that carries several exchanges at once is leased by several: [Pool.Wake] and the fields Admit and
// Shared say when and how many. While anybody leases it, it is neither idle nor evicted. To discard a lease of it is
// to say that the connection is broken; a lease that merely failed is released.
//
// Before there is a connection nobody knows how many it will admit, nor whether the peer is there: one dial is for all who wait. Those who
// find all connections full tell by them how many more they need, and dial these at once, or wait with OneShared. When a dial fails, some
// are told, and the others have the dials that they need still: so a peer that is gone is not dialed again and again.
//
// # Concurrency
//
// One lock guards a pool. It is held for moments, and never while something is called that may block or call back:
// dials, closes and the callbacks run without it. Its goroutines:
//
//   - a dial: one per dial, ends when Dial and OnOpen have returned; Close cancels it and waits for it
//   - a close: one per connection that is closed, ends with it; only Close, Shutdown, CloseIdle and CloseOldestIdle wait
//
// One timer is set for the first deadline of an idle connection or, with OneShared and MaxLifetime, of any. It stays set when that
// connection is leased, fires once more at most, and is not set while nothing is idle after that. A dial that is left over and waited for
// has one until it is 250 ms old, and so has whoever waits with a WaitTimeout. After Close nothing is left but the leases that are out,
// and for these 250 ms such a timer.
package pool
