// Package pool keeps connections of any kind and lends them out.
//
// A [Pool] is told how to dial. An [Pool.Acquire] gets an idle connection, the most recently used one, or waits for whichever comes first: a
// connection that somebody releases, or a dial that is finished. It gets a [Lease], which ends by Release, Discard or
// Hijack. The pool closes connections that were idle too long, that are too old, that are too many, and that somebody
// retired because the peer is gone.
//
// The pool knows nothing of protocols. Whether an idle connection is still good is for its user to find out: at the next
// lease, or by a watch that calls [Pool.Retire], such as that of the package reaper.
//
// # Concurrency
//
// One lock guards a pool. It is held for moments, and never while something is called that may block or call back:
// dials, closes and the callbacks run without it. Its goroutines:
//
//   - a dial: one per dial, ends with it; Close cancels it
//   - a close: one per connection that is being closed, ends with it; nobody but Close and CloseIdle waits for it
//
// Its one timer is set while a connection is idle that may expire. After Close has returned nothing is left but the
// leases that were out.
package pool
