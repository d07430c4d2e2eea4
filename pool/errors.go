package pool

import "errors"

var (
	// ErrClosed is the error of an Acquire after Close or Shutdown.
	ErrClosed = errors.New("pool: closed")

	errNilConn = errors.New("pool: Dial returned neither a connection nor an error")
)

// A Reason tells why a connection was closed. Users of the pool define their own besides.
type Reason string

// The pool's own reasons.
const (
	IdleTimeout Reason = "idle timeout" // idle for IdleTimeout
	Lifetime    Reason = "lifetime"     // older than MaxLifetime
	Evicted     Reason = "evicted"      // one idle connection too many: MaxIdle or MaxIdlePerKey
	IdleClosed  Reason = "idle closed"  // CloseIdle or CloseOldestIdle
	Closed      Reason = "pool closed"  // Close or Shutdown
)
